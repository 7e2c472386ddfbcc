//! Services that are down for a while, and the breakers before them.

use std::collections::BTreeMap;
use std::sync::Arc;

use backstitch_core::breaker::BreakerRules;
use backstitch_core::event::{BreakerOrder, PartitionEvent};
use backstitch_core::ids::PartitionId;
use backstitch_core::payload::Payload;
use backstitch_core::time::Timestamp;
use backstitch_saga::breakers::{Breakers, Dependencies, Forced, Name, Settings};
use backstitch_saga::partition::{Input, Order};
use serde_json::{Value, json};

use super::random::Random;
use super::world::{Asked, World};

/// Where partitions keep what operators said of breakers.
const OPERATORS: PartitionId = PartitionId(0);
/// How long a service is down at most.
const DOWN_MS_MAX: u64 = 20_000;

/// Which services are called: a few, told apart by what they are given.
pub struct Services;

impl Dependencies for Services {
    fn service(&self, task_type: &str, input: &Payload) -> Option<String> {
        let input = input.value();
        match task_type {
            "service" => Some(match input["n"].as_u64() {
                Some(n) if n % 4 == 0 => return None,
                Some(n) => format!("service-{}", n % 2),
                None => "service-0".to_owned(),
            }),
            _ => {
                let url = input["url"].as_str()?.strip_prefix("http://")?;
                url.split('/').next().map(|host| format!("http://{host}:80"))
            }
        }
    }
}

/// The service that an order calls.
fn called(order: &Order) -> Option<String> {
    match &order.receiver {
        Some(to) => Services.service("http", &Payload::of(&json!({ "url": to.url }))),
        None => Services.service(order.task_type.as_deref()?, &order.input),
    }
}

/// Circuits of a node that just started.
pub fn fresh(seed: u64) -> Breakers {
    let rules = BreakerRules {
        failures: 3 + u32::try_from(seed % 3).expect("small"),
        ratio: 0.6,
        calls: 6,
        window_ms: 5_000,
        open_ms: 2_000,
        probes: 1 + u32::try_from(seed % 2).expect("small"),
        retry_ratio: seed.is_multiple_of(4).then_some(0.3),
    };
    // On some nodes they are off.
    Breakers::new(Settings { enabled: !seed.is_multiple_of(11), rules })
}

/// What some steps say of their breakers.
pub fn policy(random: &mut Random) -> Value {
    match random.below(5) {
        0 => json!(false),
        1 => json!("shared"),
        2 => json!({ "key": "shared", "failures": 2, "open_for": "1s", "probes": 2 }),
        3 => json!({ "failures": 1, "open_for": "700ms", "retry_ratio": 0.2 }),
        _ => json!({ "failures": 1, "open_for": "5s", "on_open": "fail" }),
    }
}

/// Which services are down, and until when.
#[derive(Debug, Default)]
pub struct Outages(BTreeMap<String, Timestamp>);

impl Outages {
    /// Whether the service that an order calls is down.
    pub fn strikes(&self, order: &Order, now: Timestamp) -> bool {
        let until = called(order).and_then(|service| self.0.get(&service));
        until.is_some_and(|until| now < *until)
    }
}

impl World {
    /// Some service goes down for a while.
    pub fn outage(&mut self) {
        let services = ["service-0", "service-1", "http://callbacks:80"];
        let service = (*self.random.pick(&services)).to_owned();
        let until = self.now.plus_ms(self.random.below(DOWN_MS_MAX));
        self.outages.0.insert(service, until);
    }

    /// An operator has a breaker do something.
    pub fn order_breaker(&mut self) {
        let keys = ["service-0", "shared", "http://callbacks:80"];
        let name: Name = ("default".into(), (*self.random.pick(&keys)).into());
        let (_, order) = *self.random.pick(&BreakerOrder::WORDS);
        self.say(name, order);
    }

    fn say(&mut self, name: Name, order: BreakerOrder) {
        let (namespace, key) = name.clone();
        let (reason, actor) = ("they said so".to_owned(), "operator".to_owned());
        let set = PartitionEvent::BreakerSet { namespace, key, order, reason, actor };
        let asked = Asked::Breaker(name, order);
        self.ask_partition(OPERATORS, asked, |t| Input::Record(Box::new(set), t));
    }

    /// What was recorded is carried out.
    pub fn carry_out(&mut self, name: &Name, order: BreakerOrder) {
        match order {
            BreakerOrder::Open => self.breakers.force(name, Some(Forced::Open), self.now),
            BreakerOrder::Close => self.breakers.force(name, Some(Forced::Closed), self.now),
            BreakerOrder::Release => self.breakers.force(name, None, self.now),
            BreakerOrder::Reset => self.breakers.reset(name, self.now),
        }
    }

    /// A node that starts knows what operators said, and nothing of what was seen.
    pub fn forget_circuits(&mut self) {
        self.breakers = fresh(self.seed);
        let disk = self.disk.lock().expect("no thread panicked");
        let mut set = backstitch_core::partition::PartitionState::default();
        for record in disk.own.get(&OPERATORS).into_iter().flatten() {
            let backstitch_core::event::Event::Partition(event) = &record.event else { continue };
            backstitch_core::partition::evolve(&mut set, event, record.at);
        }
        drop(disk);
        for (name, own) in set.breakers {
            self.carry_out(&name, own.order);
        }
    }

    /// Nobody keeps anything open any more; says whether anybody did.
    pub fn release_breakers(&mut self) -> bool {
        let shown = self.breakers.shown("default", self.now);
        let forced = shown.into_iter().filter(|own| own.forced.is_some());
        let forced: Vec<Name> = forced.map(|own| ("default".into(), own.key)).collect();
        for name in &forced {
            self.say(name.clone(), BreakerOrder::Release);
        }
        !forced.is_empty()
    }
}

/// While a circuit is half open, no more calls were let through since it last opened, or was left
/// to itself, than may try it; whoever waits is tried sooner or later; nobody waits for what is closed.
pub fn agree(world: &World) {
    let seed = world.seed;
    if let Some(why) = world.breakers.problem() {
        panic!("seed {seed}: {why}");
    }
    let shown = world.breakers.shown("default", world.now);
    for own in shown.iter().filter(|own| own.state == "half_open" && own.forced.is_none()) {
        let passed = world.partitions.iter().flat_map(|partition| partition.calls_begun());
        let tries = passed.filter(|call| call.name.1 == own.key && call.epoch == own.epoch);
        let tries = tries.count();
        assert!(tries <= own.probes as usize, "seed {seed}: {tries} calls try {own:?}");
    }
}

/// Whom partitions ask which services are called.
pub fn services() -> Arc<dyn Dependencies> {
    Arc::new(Services)
}
