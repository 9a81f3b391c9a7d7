use super::*;
use std::{
    io::{BufRead, BufReader},
    os::{fd::OwnedFd, unix::fs::PermissionsExt},
    process,
};

const SOON: Duration = Duration::from_secs(10);

/// A directory of this test's own, removed when it is done.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("corelane-{name}-{}", process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn line(writer: &Writer, text: &str) {
    let mut batch = Batch { bytes: text.as_bytes().to_vec(), lines: 1 };
    writer.queue.hand_on(&mut batch, Vec::new);
    assert_eq!(batch.lines, 0, "there is room");
}

/// Both ends of a pipe.
fn pipe() -> (io::PipeReader, File) {
    let (reader, writer) = io::pipe().unwrap();
    (reader, OwnedFd::from(writer).into())
}

/// A writer on a file that is open already.
fn start(file: File) -> (Writer, Receiver<String>) {
    let (said, complaints) = bounded(16);
    let (queue, batches) = Queue::new(QUEUE_BATCHES_MAX);
    let (orders, ordered) = bounded(ORDERS_MAX);
    let (running, done) = bounded(0);
    let complain = move |_: Level, text: &str| said.send(text.to_owned()).unwrap();
    let target = Target::Stdout;
    let output = Output { file, target, complain, failing: false, gone: false, torn: false };
    let pen = Pen { output, queue: queue.clone(), batches, ordered, _running: running };
    thread::spawn(|| pen.run());
    (Writer { queue, format: Arc::default(), orders, done }, complaints)
}

#[test]
fn a_file_is_created_for_its_group_only_and_appended_to() {
    let dir = Dir::new("append");
    let path = dir.0.join("access.log");
    for text in ["one\n", "two\n"] {
        let writer = Writer::start(Target::File(path.clone()), |_, text| panic!("{text}")).unwrap();
        line(&writer, text);
        assert!(writer.close(SOON));
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !FILE_MODE, 0, "{mode:o}");
}

#[test]
fn a_file_that_was_moved_away_is_opened_again() {
    let dir = Dir::new("reopen");
    let (path, moved) = (dir.0.join("access.log"), dir.0.join("access.log.1"));
    let (said, complaints) = bounded(16);
    let complain = move |_: Level, text: &str| said.send(text.to_owned()).unwrap();
    let writer = Writer::start(Target::File(path.clone()), complain).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    writer.reopen();
    assert!(complaints.recv_timeout(SOON).unwrap().starts_with("reopened the log"));
    line(&writer, "after\n");
    assert!(writer.close(SOON));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
    assert_eq!(std::fs::read_to_string(&moved).unwrap(), "");
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let missing = Target::File(PathBuf::from("/nonexistent/access.log"));
    assert!(Writer::start(missing, |_, _| {}).is_err());
}

#[test]
fn res_09_a_pipe_that_nobody_reads_drops_and_never_blocks() {
    let (reader, file) = pipe();
    let (writer, _complaints) = start(file);
    let mut handed = 0;
    // The pipe holds 64 KiB, one batch is in the writer's hands, and the queue has its own bounds.
    loop {
        let mut batch = Batch { bytes: vec![b'x'; BUFFER_BYTES], lines: 1 };
        writer.queue.hand_on(&mut batch, Vec::new);
        if batch.lines == 1 {
            writer.queue.drop_lines(&mut batch);
            break;
        }
        handed += 1;
    }
    assert!(handed <= QUEUE_BYTES_MAX / BUFFER_BYTES + 4, "{handed}");
    assert_eq!(writer.counts().dropped(), 1);
    assert!(!writer.close(Duration::from_millis(50)), "it is stuck, and nobody waits for it");
    drop(reader);
}

#[test]
fn res_09_a_reader_that_left_is_said_once_and_counted() {
    let (reader, file) = pipe();
    let (writer, complaints) = start(file);
    line(&writer, "one\n");
    let mut lines = BufReader::new(reader).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    drop(lines);
    for _ in 0..3 {
        line(&writer, "lost\n");
    }
    let counts = writer.counts();
    assert!(writer.close(SOON));
    assert_eq!((counts.written(), counts.dropped(), counts.failures()), (1, 3, 3));
    assert!(complaints.recv_timeout(SOON).unwrap().contains("lines are dropped and counted"));
    assert!(complaints.try_recv().is_err(), "once");
}

#[test]
fn res_09_a_full_disk_is_a_loss_of_lines_only() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (writer, complaints) = start(full);
    line(&writer, "lost\n");
    assert!(complaints.recv_timeout(SOON).unwrap().contains("cannot write the log"));
    let counts = writer.counts();
    assert!(writer.close(SOON));
    assert_eq!((counts.written(), counts.dropped()), (0, 1));
}

#[test]
fn a_log_goes_over_to_another_target_even_from_a_pipe_that_is_gone() {
    let dir = Dir::new("replace");
    let (reader, file) = pipe();
    let (writer, complaints) = start(file);
    drop(reader);
    line(&writer, "nobody reads this\n");
    complaints.recv_timeout(SOON).unwrap();
    let path = dir.0.join("other.log");
    assert!(writer.replace(Opened::open(Target::File(path.clone())).unwrap()));
    // What is queued and what is ordered are taken in no order.
    while complaints.is_empty() && std::fs::read(&path).unwrap().is_empty() {
        line(&writer, "one\n");
        thread::yield_now();
    }
    assert!(writer.close(SOON));
    assert!(std::fs::read_to_string(&path).unwrap().starts_with("one\n"));
    assert!(Opened::open(Target::File(dir.0.join("no/such"))).is_err());
}
