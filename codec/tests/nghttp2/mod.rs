//! The HPACK of nghttp2, which nginx, curl and many others live by, from the library as the system has it.
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, missing_docs, reason = "a module of tests")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr;

/// As `nghttp2.h` has it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Nv {
    name: *mut u8,
    value: *mut u8,
    name_len: usize,
    value_len: usize,
    flags: u8,
}

const NO_INDEX: u8 = 1;
const INFLATE_FINAL: c_int = 1;
const INFLATE_EMIT: c_int = 2;

type New = unsafe extern "C" fn(*mut *mut c_void) -> c_int;
type NewOfSize = unsafe extern "C" fn(*mut *mut c_void, usize) -> c_int;
type Del = unsafe extern "C" fn(*mut c_void);
type ChangeTableSize = unsafe extern "C" fn(*mut c_void, usize) -> c_int;
type Deflate = unsafe extern "C" fn(*mut c_void, *mut u8, usize, *const Nv, usize) -> isize;
type Inflate = unsafe extern "C" fn(*mut c_void, *mut Nv, *mut c_int, *const u8, usize, c_int) -> isize;

/// Its functions.
#[derive(Clone, Copy)]
pub struct Library {
    deflate_new: NewOfSize,
    deflate_del: Del,
    deflate_change: ChangeTableSize,
    deflate: Deflate,
    inflate_new: New,
    inflate_del: Del,
    inflate_change: ChangeTableSize,
    inflate: Inflate,
    inflate_end: unsafe extern "C" fn(*mut c_void) -> c_int,
}

impl Library {
    /// `None` if the system has none.
    pub fn open() -> Option<Self> {
        // SAFETY: the name is a C string; what the library does when it is loaded is nothing.
        let handle = unsafe { libc::dlopen(c"libnghttp2.so.14".as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return None;
        }
        let symbol = |name: &CStr| {
            // SAFETY: the handle is open, and is never closed.
            let symbol = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!symbol.is_null(), "{name:?}");
            symbol
        };
        // SAFETY: the types are those that `nghttp2.h` declares for these names; `libnghttp2.so.14` keeps them.
        unsafe {
            Some(Self {
                deflate_new: std::mem::transmute::<*mut c_void, NewOfSize>(symbol(c"nghttp2_hd_deflate_new")),
                deflate_del: std::mem::transmute::<*mut c_void, Del>(symbol(c"nghttp2_hd_deflate_del")),
                deflate_change: std::mem::transmute::<*mut c_void, ChangeTableSize>(symbol(
                    c"nghttp2_hd_deflate_change_table_size",
                )),
                deflate: std::mem::transmute::<*mut c_void, Deflate>(symbol(c"nghttp2_hd_deflate_hd")),
                inflate_new: std::mem::transmute::<*mut c_void, New>(symbol(c"nghttp2_hd_inflate_new")),
                inflate_del: std::mem::transmute::<*mut c_void, Del>(symbol(c"nghttp2_hd_inflate_del")),
                inflate_change: std::mem::transmute::<*mut c_void, ChangeTableSize>(symbol(
                    c"nghttp2_hd_inflate_change_table_size",
                )),
                inflate: std::mem::transmute::<*mut c_void, Inflate>(symbol(c"nghttp2_hd_inflate_hd2")),
                inflate_end: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(*mut c_void) -> c_int>(
                    symbol(c"nghttp2_hd_inflate_end_headers"),
                ),
            })
        }
    }
}

/// Name, value, and whether it is never to be indexed.
pub type Line = (Vec<u8>, Vec<u8>, bool);

/// Its encoder.
pub struct Deflater(Library, *mut c_void);

impl Deflater {
    pub fn new(library: Library, table_bytes_max: usize) -> Self {
        let mut deflater = ptr::null_mut();
        // SAFETY: it writes a pointer to where it is told to.
        assert_eq!(unsafe { (library.deflate_new)(&raw mut deflater, table_bytes_max) }, 0);
        Self(library, deflater)
    }

    /// What the peer's SETTINGS say.
    pub fn set_peer_table_bytes(&mut self, bytes: usize) {
        // SAFETY: the deflater lives as long as this does.
        assert_eq!(unsafe { (self.0.deflate_change)(self.1, bytes) }, 0);
    }

    /// Fields with a mark for those that are not to be indexed.
    pub fn encode(&mut self, fields: &[Line]) -> Vec<u8> {
        let nv = |(name, value, secret): &Line| Nv {
            name: name.as_ptr().cast_mut(),
            value: value.as_ptr().cast_mut(),
            name_len: name.len(),
            value_len: value.len(),
            flags: if *secret { NO_INDEX } else { 0 },
        };
        let nvs: Vec<Nv> = fields.iter().map(nv).collect();
        let mut out =
            vec![0; 64 + fields.iter().map(|field| field.0.len() + field.1.len() + 32).sum::<usize>()];
        // SAFETY: the pointers and lengths are of slices that outlive the call; names and values are only read.
        let written =
            unsafe { (self.0.deflate)(self.1, out.as_mut_ptr(), out.len(), nvs.as_ptr(), nvs.len()) };
        out.truncate(usize::try_from(written).expect("there is room"));
        out
    }
}

impl Drop for Deflater {
    fn drop(&mut self) {
        // SAFETY: it came from `deflate_new`, and goes once.
        unsafe { (self.0.deflate_del)(self.1) }
    }
}

/// Its decoder.
pub struct Inflater(Library, *mut c_void);

impl Inflater {
    pub fn new(library: Library) -> Self {
        let mut inflater = ptr::null_mut();
        // SAFETY: it writes a pointer to where it is told to.
        assert_eq!(unsafe { (library.inflate_new)(&raw mut inflater) }, 0);
        Self(library, inflater)
    }

    /// After our SETTINGS were acknowledged.
    pub fn set_table_bytes_max(&mut self, bytes: usize) {
        // SAFETY: the inflater lives as long as this does.
        assert_eq!(unsafe { (self.0.inflate_change)(self.1, bytes) }, 0);
    }

    /// The fields of a whole block, with a mark for those that are never to be indexed; and whether it was in order.
    pub fn decode(&mut self, mut block: &[u8]) -> (Vec<Line>, bool) {
        let mut fields = Vec::new();
        loop {
            let mut nv =
                Nv { name: ptr::null_mut(), value: ptr::null_mut(), name_len: 0, value_len: 0, flags: 0 };
            let mut flags = 0;
            // SAFETY: the pointers are of locals and of the rest of the block.
            let read = unsafe {
                (self.0.inflate)(self.1, &raw mut nv, &raw mut flags, block.as_ptr(), block.len(), 1)
            };
            let Ok(read) = usize::try_from(read) else { return (fields, false) };
            block = &block[read..];
            if flags & INFLATE_EMIT != 0 {
                // SAFETY: it points to as many bytes as it says, until the next call.
                let (name, value) = unsafe {
                    (
                        std::slice::from_raw_parts(nv.name, nv.name_len).to_vec(),
                        std::slice::from_raw_parts(nv.value, nv.value_len).to_vec(),
                    )
                };
                fields.push((name, value, nv.flags & NO_INDEX != 0));
            }
            if flags & INFLATE_FINAL != 0 {
                // SAFETY: as above.
                assert_eq!(unsafe { (self.0.inflate_end)(self.1) }, 0);
                return (fields, true);
            }
            if flags & INFLATE_EMIT == 0 && block.is_empty() {
                return (fields, true);
            }
        }
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // SAFETY: it came from `inflate_new`, and goes once.
        unsafe { (self.0.inflate_del)(self.1) }
    }
}
