//! The descriptors a worker starts with: its assignment's at the numbers asked for, those its
//! preloads opened, the null device where a standard one is missing, and nothing else.

use super::{Kept, Own, StartError};
use mpfork_proto::link::assigned_state::Placed;
use mpfork_sys::descriptors::{close_all_but, cover, place};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd, RawFd};

/// Which descriptor is to get which number.
pub(super) struct Layout {
    /// Numbers, from the lowest, with the indices of what is to be there: a handful, and a worker pays
    /// more for the code of a map than for looking.
    placed: Vec<(RawFd, usize)>,
    kept: Kept,
}

impl Layout {
    /// Checks what was asked for.
    pub(super) fn new(asked: &[Placed], kept: Kept) -> Result<Self, StartError> {
        let bad = |message: String| StartError::bad("descriptors", message);
        let mut placed = Vec::with_capacity(asked.len());
        for asked in asked {
            let number = RawFd::try_from(asked.target)
                .map_err(|_| bad(format!("there is no descriptor number {}", asked.target)))?;
            if let Kept::These(kept) = &kept
                && kept.contains(&number)
            {
                return Err(bad(format!(
                    "number {number} is taken: a preload keeps a descriptor there"
                )));
            }
            let place = placed.partition_point(|(placed, _)| *placed < number);
            if placed
                .get(place)
                .is_some_and(|(placed, _)| *placed == number)
            {
                return Err(bad(format!("number {number} is asked for twice")));
            }
            placed.insert(place, (number, asked.index as usize));
        }
        Ok(Self { placed, kept })
    }

    /// Lays the descriptors out and closes all others. The worker's own descriptors and the channel
    /// keep out of the way.
    pub(super) fn apply(
        self,
        received: Vec<OwnedFd>,
        channel: Option<usize>,
        own: &mut Own,
    ) -> Result<Option<OwnedFd>, StartError> {
        self.try_apply(received, channel, own)
            .map_err(|error| StartError::system("descriptors", error))
    }

    fn try_apply(
        self,
        mut received: Vec<OwnedFd>,
        channel: Option<usize>,
        own: &mut Own,
    ) -> io::Result<Option<OwnedFd>> {
        // Held while others look for free numbers, so that no number is found twice.
        let mut passed = Vec::new();
        for descriptor in received
            .iter_mut()
            .chain([&mut own.control])
            .chain(&mut own.door)
        {
            self.move_away(descriptor, &mut passed)?;
        }
        drop(passed);

        let mut uses = vec![0usize; received.len()];
        for index in self.placed.iter().map(|placed| placed.1).chain(channel) {
            if let Some(uses) = uses.get_mut(index) {
                *uses += 1;
            }
        }
        let mut received: Vec<Option<OwnedFd>> = received.into_iter().map(Some).collect();
        let mut take = |index: usize| -> io::Result<OwnedFd> {
            let missing = || io::Error::from(io::ErrorKind::InvalidInput);
            let slot = received.get_mut(index).ok_or_else(missing)?;
            uses[index] -= 1;
            let last = uses[index] == 0;
            if last {
                slot.take().ok_or_else(missing)
            } else {
                slot.as_ref().ok_or_else(missing)?.try_clone()
            }
        };
        let channel = match channel {
            Some(index) => {
                let mut channel = take(index)?;
                // A copy gets any free number.
                let mut passed = Vec::new();
                self.move_away(&mut channel, &mut passed)?;
                Some(channel)
            }
            None => None,
        };
        for (number, index) in &self.placed {
            place(take(*index)?, *number)?;
        }
        drop(received);
        for number in 0..=2 {
            let kept = matches!(&self.kept, Kept::These(kept) if kept.contains(&number));
            if !self.is_taken(number) && !kept {
                let null = File::options().read(true).write(true).open("/dev/null")?;
                place(null.into(), number)?;
            }
        }

        let kept = match &self.kept {
            Kept::These(kept) => kept,
            Kept::AllBut(numbers) => {
                for number in numbers.iter().filter(|number| !self.is_taken(**number)) {
                    let null = File::options().read(true).write(true).open("/dev/null")?;
                    cover(null.into(), *number)?;
                }
                return Ok(channel);
            }
        };
        let mut stay: Vec<RawFd> = (0..=2).chain(self.numbers()).collect();
        stay.extend(kept);
        stay.push(own.control.as_raw_fd());
        stay.extend(own.door.iter().map(|door| door.as_raw_fd()));
        stay.extend(channel.iter().map(|channel| channel.as_raw_fd()));
        close_all_but(&stay)?;
        Ok(channel)
    }

    fn numbers(&self) -> impl Iterator<Item = RawFd> {
        self.placed.iter().map(|placed| placed.0)
    }

    fn is_taken(&self, number: RawFd) -> bool {
        self.numbers().any(|taken| taken == number)
    }

    /// Gives a descriptor a number nothing is to be placed at.
    fn move_away(&self, descriptor: &mut OwnedFd, passed: &mut Vec<OwnedFd>) -> io::Result<()> {
        while (0..=2).contains(&descriptor.as_raw_fd()) || self.is_taken(descriptor.as_raw_fd()) {
            let next = descriptor.as_raw_fd().saturating_add(1).max(3);
            let moved = rustix::io::fcntl_dupfd_cloexec(&*descriptor, next)?;
            passed.push(std::mem::replace(descriptor, moved));
        }
        Ok(())
    }
}
