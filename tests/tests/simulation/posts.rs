//! What partitions tell each other, on a bad network: lost, doubled, late, out of order.

use backstitch_core::event::{Event, LinkEvent, Message, RunEvent};
use backstitch_core::ids::ExecutionId;
use backstitch_core::time::Timestamp;
use backstitch_saga::partition::{Input, Post};

use super::world::World;

/// The longest a post is on its way; later it is lost.
pub const POST_LIFE_MS: u64 = 20_000;

/// A post on its way.
#[derive(Debug)]
pub struct Flying {
    pub lands_at: Timestamp,
    pub post: Post,
}

impl World {
    pub fn send_post(&mut self, post: Post) {
        self.is_durable(&post);
        if self.faults && self.random.chance(15) {
            return;
        }
        let copies = if self.faults && self.random.chance(15) { 2 } else { 1 };
        for _ in 0..copies {
            let late = self.faults && self.random.chance(20);
            let delay_ms = self.random.below(if late { 6_000 } else { 200 });
            let lands_at = self.now.plus_ms(delay_ms);
            self.posts.push(Flying { lands_at, post: post.clone() });
        }
    }

    pub fn land_post(&mut self, now: Timestamp) -> bool {
        self.posts.retain(|own| now < own.lands_at.plus_ms(POST_LIFE_MS));
        let landed: Vec<_> =
            (0..self.posts.len()).filter(|&at| self.posts[at].lands_at <= now).collect();
        if landed.is_empty() {
            return false;
        }
        let Flying { post, .. } = self.posts.swap_remove(*self.random.pick(&landed));
        let at = usize::from(post.partition().0);
        self.take(at, Input::Post(post));
        true
    }

    /// Neither a message nor its answer is ahead of the disk.
    fn is_durable(&self, post: &Post) {
        let disk = self.disk.lock().expect("no thread panicked");
        let records = |run: ExecutionId| {
            let (known, gone) = (disk.runs.get(&run), disk.removed.get(&run));
            known.into_iter().chain(gone).flatten().map(|record| (record.at, &record.event))
        };
        let durable = match post {
            Post::Deliver(parcel) => records(parcel.from).any(|(at, event)| {
                let Event::Run(RunEvent::Link(LinkEvent::MessagePosted { message, to, body })) =
                    event
                else {
                    return false;
                };
                (at, *message) == (parcel.posted_at, parcel.message)
                    && (*to, &**body) == (parcel.to, &parcel.body)
            }),
            Post::Acknowledge { refused: Some(_), .. } => true,
            Post::Acknowledge { run, message: number, posted_at, refused: None, .. } => {
                let posted = records(*run).find_map(|(at, event)| match event {
                    Event::Run(RunEvent::Link(LinkEvent::MessagePosted { message, to, body }))
                        if message == number && at == *posted_at =>
                    {
                        Some((*to, body.clone()))
                    }
                    _ => None,
                });
                // The sender may have been removed since.
                posted.is_none_or(|(to, body)| match *body {
                    Message::Start { .. } => records(to).next().is_some(),
                    _ => records(to).any(|(heard, event)| match event {
                        Event::Run(RunEvent::Link(LinkEvent::MessageReceived {
                            from,
                            message,
                            ..
                        })) => from == run && message == number && heard > *posted_at,
                        _ => false,
                    }),
                })
            }
        };
        assert!(durable, "seed {}: {post:?} is ahead of the disk", self.seed);
    }
}
