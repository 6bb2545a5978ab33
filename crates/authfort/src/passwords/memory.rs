//! The memory in which hashes are computed, kept for reuse.
//!
//! A hash fills about 19 MiB. If each allocated its own on changing threads, the blocks would spread over many arenas
//! of the allocator, which returns none of them: a server that hashed two at a time grew to a gigabyte. Here there are
//! only as many buffers as hashes may run at once.

use std::sync::{Mutex, PoisonError};

use argon2::Block;

use crate::{Error, Result};

pub(super) struct Memory {
    free: Mutex<Vec<Vec<Block>>>,
    /// How many blocks a hash of the configured cost fills. Larger buffers are not kept.
    blocks: usize,
}

impl Memory {
    pub(super) fn new(blocks: usize) -> Self {
        Self { free: Mutex::default(), blocks }
    }

    /// Runs one hash in a buffer of at least `blocks` blocks.
    ///
    /// # Errors
    /// - [`Error::Internal`] if there is not enough memory; otherwise those of `work`.
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
