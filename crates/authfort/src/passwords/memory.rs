//! The memory that hashes are computed in, kept and used again.
//!
//! A hash fills some 19 MiB. Allocated anew for each, on ever other threads, such blocks end up in as many arenas of the
//! allocator, which gives none of them back: a server that hashed two at a time came to hold a gigabyte. Here there are
//! as many buffers as hashes may run at once, and no more.

use std::sync::{Mutex, PoisonError};

use argon2::Block;

use crate::{Error, Result};

pub(super) struct Memory {
    free: Mutex<Vec<Vec<Block>>>,
    /// How many blocks a hash of the configured cost fills. A buffer that had to be larger is not kept.
    blocks: usize,
}

impl Memory {
    pub(super) fn new(blocks: usize) -> Self {
        Self { free: Mutex::default(), blocks }
    }

    /// Runs one hash on a buffer of at least so many blocks.
    ///
    /// # Errors
    /// - [`Error::Internal`] when there is no memory; else those of the work.
    pub(super) fn with<T>(&self, blocks: usize, work: impl FnOnce(&mut [Block]) -> Result<T>) -> Result<T> {
        let kept = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = kept.unwrap_or_default();
        let wanted = blocks.max(self.blocks);
        if buffer.len() < wanted {
            buffer.try_reserve_exact(wanted - buffer.len()).map_err(Error::internal)?;
            buffer.resize(wanted, Block::new());
        }
        let outcome = work(&mut buffer);
        if buffer.len() == self.blocks {
            self.free.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
        }
        outcome
    }
}
