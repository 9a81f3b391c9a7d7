//! Basic authentication (RFC 7617). A password's hash is slow to verify by design, so it is verified on other threads, and
//! each lane remembers for a while what was right.

use crate::config::data::BasicAuth;
use argon2::Argon2;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use corelane_engine::{Lane, Result};
use sha_crypt::{PasswordVerifier, ShaCrypt};
use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    rc::Rc,
    time::Duration,
};

/// How long a lane remembers that a password is right.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Passwords that a lane remembers.
const REMEMBERED_MAX: usize = 4096;
/// A name and a password have at most so many bytes together; more are wrong.
const CREDENTIALS_BYTES_MAX: usize = 1024;
/// The most that verifying may cost: bcrypt's logarithm, sha-crypt's rounds, argon2's KiB.
const BCRYPT_COST_MAX: u32 = 14;
const SHA_ROUNDS_MAX: u32 = 1_000_000;
const ARGON2_KIB_MAX: u32 = 256 << 10;
const ARGON2_PASSES_MAX: u32 = 16;

/// Why a text is no hash that can be verified.
pub(crate) fn check_hash(hash: &str) -> std::result::Result<(), String> {
    const EXPECTED: &str = "expected a hash by bcrypt ($2b$..., from `htpasswd -B`), argon2 ($argon2id$...) or sha-crypt \
                            ($5$..., $6$..., from `openssl passwd -5`)";
    match Scheme::of(hash) {
        Some(Scheme::Bcrypt) => match hash.parse::<bcrypt::HashParts>() {
            Ok(parts) if parts.get_cost() > BCRYPT_COST_MAX => {
                Err(format!("a cost of {} takes too long; at most {BCRYPT_COST_MAX}", parts.get_cost()))
            }
            Ok(_) => Ok(()),
            Err(_) => Err(format!("this is no hash by bcrypt; {EXPECTED}")),
        },
        Some(Scheme::Argon2) => check_argon2(hash),
        Some(Scheme::Sha) => {
            let rounds = hash.split('$').find_map(|field| field.strip_prefix("rounds="));
            match rounds.map(str::parse::<u32>) {
                Some(Ok(rounds)) if rounds > SHA_ROUNDS_MAX => {
                    return Err(format!("{rounds} rounds take too long; at most {SHA_ROUNDS_MAX}"));
                }
                Some(Err(_)) => return Err(format!("this is no hash by sha-crypt; {EXPECTED}")),
                _ => {}
            }
            match ShaCrypt::default().verify_password(b"", hash) {
                Ok(()) | Err(sha_crypt::password_hash::Error::PasswordInvalid) => Ok(()),
                Err(_) => Err(format!("this is no hash by sha-crypt; {EXPECTED}")),
            }
        }
        None => Err(EXPECTED.to_owned()),
    }
}

fn check_argon2(hash: &str) -> std::result::Result<(), String> {
    let parsed = argon2::password_hash::phc::PasswordHash::new(hash).ok();
    let params = parsed.as_ref().and_then(|hash| argon2::Params::try_from(hash).ok());
    match (parsed.is_some_and(|hash| hash.hash.is_some()), params) {
        (true, Some(params)) if params.m_cost() <= ARGON2_KIB_MAX && params.t_cost() <= ARGON2_PASSES_MAX => {
            Ok(())
        }
        (true, Some(_)) => {
            Err(format!("it takes too much; at most m={ARGON2_KIB_MAX} (KiB) and t={ARGON2_PASSES_MAX}"))
        }
        _ => {
            Err("this is no hash by argon2; expected `$argon2id$v=19$m=...,t=...,p=...$salt$hash`".to_owned())
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Bcrypt,
    Argon2,
    Sha,
}

impl Scheme {
    fn of(hash: &str) -> Option<Self> {
        const SCHEMES: [(&str, Scheme); 6] = [
            ("$2a$", Scheme::Bcrypt),
            ("$2b$", Scheme::Bcrypt),
            ("$2y$", Scheme::Bcrypt),
            ("$argon2", Scheme::Argon2),
            ("$5$", Scheme::Sha),
            ("$6$", Scheme::Sha),
        ];
        SCHEMES.iter().find(|(prefix, _)| hash.starts_with(prefix)).map(|(_, scheme)| *scheme)
    }
}

/// Slow.
fn is_right(password: &[u8], hash: &str) -> bool {
    match Scheme::of(hash) {
        Some(Scheme::Bcrypt) => bcrypt::verify(password, hash).unwrap_or(false),
        Some(Scheme::Argon2) => Argon2::default().verify_password(password, hash).is_ok(),
        Some(Scheme::Sha) => ShaCrypt::default().verify_password(password, hash).is_ok(),
        None => false,
    }
}

/// What a lane remembers. Passwords are not kept: a hash with keys of this lane's own stands for each.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    keys: (RandomState, RandomState),
    right: RefCell<HashMap<(u64, u64), Duration>>,
}

impl Memory {
    fn key(&self, hash: &str, password: &[u8]) -> (u64, u64) {
        (self.keys.0.hash_one((hash, password)), self.keys.1.hash_one((hash, password)))
    }

    fn knows(&self, key: (u64, u64), now: Duration) -> bool {
        self.right.borrow().get(&key).is_some_and(|until| now < *until)
    }

    fn remember(&self, key: (u64, u64), now: Duration) {
        let mut right = self.right.borrow_mut();
        if right.len() >= REMEMBERED_MAX {
            right.retain(|_, until| now < *until);
        }
        if right.len() >= REMEMBERED_MAX {
            right.clear();
        }
        right.insert(key, now + REMEMBERED);
    }
}

/// A lane's own: what it knows.
#[derive(Debug)]
pub(crate) struct Gatekeeper {
    pub(crate) lane: Lane,
    /// Also of whoever comes after this one.
    pub(crate) memory: Rc<Memory>,
}

impl Gatekeeper {
    /// The user that a request names, if the password is right.
    pub(crate) async fn user<'a>(
        &self,
        auth: &'a BasicAuth,
        authorization: Option<&[u8]>,
    ) -> Result<Option<&'a str>> {
        let Some((name, password)) = authorization.and_then(credentials) else { return Ok(None) };
        let user = auth.users.iter().find(|user| user.name.as_bytes() == name);
        // A name that nobody has takes as long as one that somebody has.
        let Some(hash) = user.or(auth.users.first()).map(|user| &user.hash) else { return Ok(None) };
        let key = self.memory.key(hash, &password);
        if user.is_some() && self.memory.knows(key, self.lane.now()) {
            return Ok(user.map(|user| user.name.as_str()));
        }
        let hash = hash.clone();
        let right = self.lane.offload(move || is_right(&password, &hash)).await?;
        let Some(user) = user.filter(|_| right) else { return Ok(None) };
        self.memory.remember(key, self.lane.now());
        Ok(Some(&user.name))
    }
}

/// Name and password of an `Authorization` field.
fn credentials(value: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, rest) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") || rest.len() > CREDENTIALS_BYTES_MAX * 4 / 3 + 4 {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(rest.trim_ascii()).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some((decoded[..colon].to_vec(), decoded[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2b$04$tCfSvfVyAZoBy4Wr1/F3fOrCovxqPCJF6u7lSiFArlQW2FKZ/3hPG";

    #[test]
    fn b_73_credentials_are_read() {
        assert_eq!(credentials(b"Basic QW5uOm9wZW4="), Some((b"Ann".to_vec(), b"open".to_vec())));
        assert_eq!(credentials(b"basic  YTpiOmM= "), Some((b"a".to_vec(), b"b:c".to_vec())));
        for wrong in [&b""[..], b"Basic", b"Basic ", b"Basic QW5u", b"Basic %%%", b"Bearer QW5uOm9wZW4="] {
            assert_eq!(credentials(wrong), None, "{wrong:?}");
        }
        let long = format!("Basic {}", BASE64_STANDARD.encode([b':'; CREDENTIALS_BYTES_MAX + 8]));
        assert_eq!(credentials(long.as_bytes()), None);
    }

    #[test]
    fn a_lane_forgets() {
        let memory = Memory::default();
        let key = memory.key(BCRYPT, b"open");
        assert!(!memory.knows(key, Duration::ZERO));
        memory.remember(key, Duration::ZERO);
        assert!(memory.knows(key, REMEMBERED - Duration::from_millis(1)));
        assert!(!memory.knows(key, REMEMBERED));
        assert!(!memory.knows(memory.key(BCRYPT, b"Open"), Duration::ZERO));
        for at in 0..2 * REMEMBERED_MAX as u64 {
            memory.remember((at, 0), Duration::ZERO);
            assert!(memory.right.borrow().len() <= REMEMBERED_MAX);
        }
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for wrong in [
            "",
            "open",
            "$1$x$y",
            "{SHA}x",
            "$2b$04$short",
            "$5$",
            "$5$salt",
            "$5$rounds=x$a$b",
            "$5$rounds=99999999$salt$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            "$argon2id$v=19$m=8$",
            "$argon2id$",
            "$2b$31$tCfSvfVyAZoBy4Wr1/F3fOrCovxqPCJF6u7lSiFArlQW2FKZ/3hPG",
        ] {
            assert!(check_hash(wrong).is_err(), "{wrong}");
        }
        assert_eq!(check_hash(BCRYPT), Ok(()));
    }

    #[test]
    fn hashes_of_all_three_kinds_are_verified() {
        let sha = "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5";
        assert_eq!(check_hash(sha), Ok(()));
        assert!(is_right(b"Hello world!", sha));
        assert!(!is_right(b"Hello world", sha));
        let argon2 = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$";
        assert!(check_hash(argon2).is_err());
        let bcrypt = bcrypt::hash("open", 4).unwrap();
        assert!(is_right(b"open", &bcrypt) && !is_right(b"shut", &bcrypt));
    }
}
