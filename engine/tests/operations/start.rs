//! Starting, failing to, and what is left of an engine that could not.

use crate::support::{
    clock::until,
    peer::Peer,
    rig::{Fun, Rig, on_both},
};
use corelane_engine::{Address, Driver, Engine, Error, Handle, Response, Running, StartError, StatusCode};
use std::net::{SocketAddr, TcpListener, TcpStream};

fn answers() -> Result<Fun, Error> {
    Ok(Fun(async |_| Ok(Response::text(StatusCode::OK, "here\n"))))
}

/// The error of an engine that does not start.
#[track_caller]
fn refused(result: Result<Handle, StartError>) -> StartError {
    match result {
        Ok(handle) => {
            handle.stop();
            panic!("it starts");
        }
        Err(error) => error,
    }
}

/// That an address is free again: whoever had it has closed it.
#[track_caller]
fn is_free(address: SocketAddr) {
    until("it is free again", || TcpListener::bind(address).is_ok());
}

/// A port that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

#[test]
fn a_port_that_is_taken_is_said_and_the_others_are_given_back() {
    on_both(|driver| {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let (taken, other) = (holder.local_addr().unwrap(), free());
        let builder = Engine::builder().driver(driver).lanes(2);
        let error = refused(builder.serve(other, |_| answers()).serve(taken, |_| answers()).spawn());
        assert!(matches!(&error, StartError::Bind { address, .. } if *address == taken), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(&taken.to_string()) && said.contains("taken by another program"), "{said}");
        assert!(said.contains(&format!("sport = :{}", taken.port())), "{said}");
        is_free(other);
        // An engine counts as another program: nothing is shared by accident.
        let first = Rig::start(Engine::builder().lanes(1).driver(driver).serve(other, |_| answers()));
        let error = refused(Engine::builder().lanes(1).driver(driver).serve(other, |_| answers()).spawn());
        assert!(matches!(&error, StartError::Bind { address, .. } if *address == other), "{error:?}");
        assert_eq!(Peer::connect(first.address()).get("/").status(), 200);
    });
}

#[test]
fn an_address_that_is_none_is_said() {
    for (address, words) in [
        ("8080", "write 127.0.0.1:8080"),
        ("127.0.0.1", "write 127.0.0.1:8080"),
        ("127.0.0.1:99999", "write 127.0.0.1:8080"),
        ("name.invalid:80", "name.invalid:80"),
    ] {
        let other = free();
        let builder = Engine::builder().lanes(1).serve(other, |_| answers());
        let error = refused(builder.serve(address, |_| answers()).spawn());
        assert!(matches!(error, StartError::Address { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.contains(address) && said.contains(words), "{said}");
        is_free(other);
    }
    let elsewhere = refused(Engine::builder().lanes(1).serve("192.0.2.1:8080", |_| answers()).spawn());
    assert!(elsewhere.to_string().contains("not an address of this machine"), "{elsewhere}");
}

#[test]
fn a_factory_that_fails_on_one_lane_stops_all() {
    on_both(|driver| {
        let address = free();
        let error = refused(
            Engine::builder()
                .driver(driver)
                .lanes(3)
                .serve(address, |lane| match lane.id() {
                    1 => Err(Error::internal("no lamp")),
                    _ => answers(),
                })
                .spawn(),
        );
        assert!(matches!(&error, StartError::Handler(words) if words.contains("no lamp")), "{error:?}");
        assert!(error.to_string().contains("no lamp"), "{error}");
        is_free(address);
        assert!(TcpStream::connect(address).is_err());
    });
}

#[test]
fn a_factory_that_panics_on_one_lane_stops_all() {
    on_both(|driver| {
        let address = free();
        let error = refused(
            Engine::builder()
                .driver(driver)
                .lanes(3)
                .serve(address, |lane| {
                    assert!(lane.id() != 2, "no lamp either");
                    answers()
                })
                .spawn(),
        );
        assert!(error.to_string().contains("no lamp either"), "{error:?}");
        is_free(address);
        assert!(TcpStream::connect(address).is_err());
    });
}

#[test]
fn an_engine_says_where_it_listens_and_on_what_it_runs() {
    on_both(|driver| {
        let builder = Engine::builder().driver(driver).lanes(2);
        let builder = builder.serve("127.0.0.1:0", |_| answers());
        let rig = Rig::start(builder.serve("[::1]:0", |_| answers()));
        let addresses: Vec<_> = rig.handle.addresses().iter().filter_map(Address::socket).collect();
        assert_eq!(addresses.len(), 2);
        assert!(addresses[0].is_ipv4() && addresses[1].is_ipv6());
        for address in &addresses {
            assert_ne!(address.port(), 0);
            assert_eq!(Peer::connect(*address).get("/").text(), "here\n");
            assert_eq!(rig.record().client.ip(), Some(address.ip()));
        }
        let running = rig.handle.driver();
        assert_eq!(running.len(), 2);
        if driver == Driver::Epoll {
            assert!(running.iter().all(|lane| *lane == Running::Epoll { reason: "asked for".to_owned() }));
        }
        assert!(!rig.handle.is_draining() && !rig.handle.is_finished());
    });
}

#[test]
fn no_listener_is_an_engine_too() {
    on_both(|driver| {
        let rig = Rig::start(Engine::builder().driver(driver).lanes(0));
        assert!(rig.handle.addresses().is_empty());
        assert_eq!(rig.handle.driver().len(), 1, "no lane is taken for one");
        assert!(rig.finish().is_empty());
    });
}
