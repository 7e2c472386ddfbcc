//! `make bench`: how fast the journal, the engine and the server are, beside the floors that
//! the machine sets in the same run.
//!
//! A closed loop in one generator, which shares the processors with what it measures. Repeats
//! are interleaved: every case once, then every case again. What the columns mean and what
//! bounds each figure is in `docs/benchmarks.md`.

mod cached;
mod engine;
mod figures;
mod floors;
mod graph;
mod herd;
mod items;
mod journal;
mod letters;
mod lists;
mod load;
mod machine;
mod many;
mod over_http;
mod pressure;
mod ratios;
mod report;
mod scale;
mod streams;
mod workflow;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use crate::engine::InProcess;
use crate::figures::{Case, Cases, Measured};
use crate::floors::Echo;
use crate::load::Pace;
use crate::machine::Machine;
use crate::over_http::OverHttp;
use crate::ratios::{
    CACHE, ECHO, ENGINE, FLOORS, GRAPH, HTTP, JOURNAL, LETTERS, LOAD, MANY, SCALE, SYNC,
};
use crate::scale::Sizes;

/// As the server has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many ask at once.
const CONCURRENCY: [usize; 4] = [1, 16, 64, 256];
/// The part of scale that appends.
const APPEND: &str = "append";
/// A smoke run's window and warm-up.
const QUICK: Pace = Pace { warm_up: Duration::from_millis(20), window: Duration::from_millis(100) };

/// Measures Backstitch beside the floors of this machine.
#[derive(Debug, Parser)]
struct Arguments {
    /// Seconds of each window.
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds of warm-up before each window.
    #[arg(long, default_value_t = 1.0, value_parser = seconds)]
    warm_up: f64,
    /// How many times each case is measured.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Print lines of JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// A smoke run: every case once and briefly. Its figures mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only these groups, beside the floors: journal, graph, cache, engine, http, load, many,
    /// letters, scale; or, of scale, append.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// How many records scale appends; ten million if not told.
    #[arg(long)]
    records: Option<u64>,
    /// Where figures and data go; beside the binaries if not told.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=3_600.0).contains(number));
    number.ok_or_else(|| "0 to 3600 seconds".to_owned())
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    let ended = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [word, address] if word == floors::ECHO_WORD => floors::serve_echo(address),
        [word, folder, runs] if word == many::REST_WORD => many::rest_and_tell(folder, runs),
        [word, folder, items] if word == items::LOOP_WORD => items::loop_and_tell(folder, items),
        [word, folder, how] if word == scale::OPEN_WORD => scale::open_and_tell(folder, how),
        _ => measure_all(&Arguments::parse()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all(arguments: &Arguments) -> Result<(), String> {
    let folder = match &arguments.folder {
        Some(folder) => folder.clone(),
        None => beside_the_binaries()?,
    };
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let machine = Machine::look(&folder);
    let mut bench = Bench::new(arguments, &folder)?;
    let repeats = if arguments.quick { 1 } else { arguments.repeats };
    for repeat in 1..=repeats {
        eprintln!("bench: repeat {repeat} of {repeats}");
        bench.floors()?;
        bench.journal()?;
        bench.graph()?;
        bench.cached()?;
        bench.engine()?;
        bench.over_http()?;
    }
    bench.load(arguments.quick)?;
    let mut sizes = if arguments.quick { scale::QUICK } else { scale::FULL };
    sizes.records = arguments.records.unwrap_or(sizes.records);
    bench.many(if arguments.quick { many::QUICK } else { many::FULL })?;
    bench.letters(if arguments.quick { letters::QUICK } else { letters::FULL })?;
    bench.scale(sizes)?;
    let mut figures = bench.cases.figures();
    figures.sort_by_key(|figure| {
        [FLOORS, JOURNAL, GRAPH, CACHE, ENGINE, HTTP, LOAD, MANY, LETTERS, SCALE]
            .iter()
            .position(|group| *group == figure.case.group)
    });
    ratios::fill_in(&mut figures);
    report::write(&folder, &machine, &figures).map_err(|error| error.to_string())?;
    let shown = match arguments.json {
        true => report::lines(&machine, &figures),
        false => report::table(&machine, &figures),
    };
    std::io::stdout().write_all(shown.as_bytes()).map_err(|error| error.to_string())
}

/// `target/bench`.
fn beside_the_binaries() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = program.ancestors().nth(2).unwrap_or(Path::new("."));
    Ok(target.join("bench"))
}

struct Bench<'a> {
    pace: Pace,
    only: &'a [String],
    folder: &'a Path,
    generator: Runtime,
    cases: Cases,
}

impl<'a> Bench<'a> {
    fn new(arguments: &'a Arguments, folder: &'a Path) -> Result<Self, String> {
        let pace = match arguments.quick {
            true => QUICK,
            false => Pace {
                warm_up: Duration::from_secs_f64(arguments.warm_up),
                window: Duration::from_secs_f64(arguments.seconds),
            },
        };
        // One thread: the generator takes as little as it can from what it measures.
        let generator = Builder::new_current_thread().enable_all().build();
        let generator = generator.map_err(|error| error.to_string())?;
        Ok(Self { pace, only: &arguments.only, folder, generator, cases: Cases::default() })
    }

    fn wants(&self, group: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|wanted| wanted == group)
    }

    fn floors(&mut self) -> Result<(), String> {
        let measured = floors::bare_sync(self.folder, self.pace)?;
        self.add(FLOORS, SYNC.to_owned(), 1, "syncs", measured);
        let echo = self.generator.block_on(Echo::spawn())?;
        for clients in CONCURRENCY {
            let measured = self.generator.block_on(echo.measure(clients, self.pace))?;
            self.add(FLOORS, ECHO.to_owned(), clients, "requests", measured);
        }
        Ok(())
    }

    fn journal(&mut self) -> Result<(), String> {
        if !self.wants(JOURNAL) {
            return Ok(());
        }
        for records in journal::RECORDS {
            let data = self.data_folder()?;
            let mut measured = journal::measure(data.path(), records, self.pace)?;
            measured.extra.insert("records_per_commit", records as f64);
            self.add(JOURNAL, format!("{records} a commit"), 1, "events", measured);
        }
        Ok(())
    }

    fn graph(&mut self) -> Result<(), String> {
        if !self.wants(GRAPH) {
            return Ok(());
        }
        let mut half_us = None;
        for steps in graph::STEPS {
            let mut measured = graph::measure(steps, self.pace)?;
            let times = half_us.replace(measured.p50_us).map(|half_us| measured.p50_us / half_us);
            measured.extra.extend(times.map(|times| ("times_half_the_steps", times)));
            self.add(GRAPH, format!("{steps} steps"), 1, "graphs", measured);
        }
        Ok(())
    }

    fn cached(&mut self) -> Result<(), String> {
        if !self.wants(CACHE) {
            return Ok(());
        }
        for bytes in cached::INPUT_BYTES {
            let measured = cached::measure(bytes, self.pace)?;
            self.add(CACHE, format!("look-up, {bytes} bytes"), 1, "look-ups", measured);
        }
        Ok(())
    }

    fn engine(&mut self) -> Result<(), String> {
        if !self.wants(ENGINE) {
            return Ok(());
        }
        let data = self.data_folder()?;
        let engine = InProcess::open(data.path())?;
        for steps in workflow::STEPS {
            for clients in CONCURRENCY {
                let measured = engine.measure(steps, clients, self.pace)?;
                self.add_runs(ENGINE, steps, clients, measured);
            }
        }
        engine.close()
    }

    fn over_http(&mut self) -> Result<(), String> {
        if !self.wants(HTTP) {
            return Ok(());
        }
        let data = self.data_folder()?;
        let server = self.generator.block_on(OverHttp::open(&data.path().join("data")))?;
        for steps in workflow::STEPS {
            for clients in CONCURRENCY {
                let measuring = server.measure(steps, clients, self.pace);
                let measured = self.generator.block_on(measuring)?;
                self.add_runs(HTTP, steps, clients, measured);
            }
        }
        Ok(())
    }

    /// Each on a server of its own.
    fn load(&mut self, quick: bool) -> Result<(), String> {
        if !self.wants(LOAD) {
            return Ok(());
        }
        backstitch_api::server::raise_file_limit();
        let data = self.data_folder()?;
        let sizes = if quick { pressure::QUICK } else { pressure::FULL };
        let [reads, submissions] = self.generator.block_on(async {
            let server = OverHttp::open(&data.path().join("pressure")).await?;
            pressure::measure(&server, sizes).await
        })?;
        let pressure::Sizes { connections, submissions: rate, .. } = sizes;
        self.add(LOAD, format!("beside {rate} runs/s"), connections, "reads", reads);
        self.add(LOAD, format!("at {rate}/s"), connections, "submissions", submissions);
        let sizes = if quick { streams::QUICK } else { streams::FULL };
        let [idle, alone, beside] = self.generator.block_on(async {
            let server = OverHttp::open(&data.path().join("streams")).await?;
            streams::measure(&server, sizes).await
        })?;
        let streams::Sizes { clients, slow, silent, .. } = sizes;
        self.add(LOAD, format!("{} idle", sizes.idle), 1, "streams", idle);
        self.add(LOAD, "before streams".to_owned(), clients, "runs", alone);
        let case = format!("beside those, {slow} slow, {silent} silent");
        self.add(LOAD, case, clients, "runs", beside);
        Ok(())
    }

    fn many(&mut self, sizes: many::Sizes) -> Result<(), String> {
        if !self.wants(MANY) {
            return Ok(());
        }
        let data = self.data_folder()?;
        for (case, unit, measured) in many::measure(data.path(), sizes)? {
            self.add(MANY, case, 1, unit, measured);
        }
        Ok(())
    }

    fn letters(&mut self, sizes: letters::Sizes) -> Result<(), String> {
        if !self.wants(LETTERS) {
            return Ok(());
        }
        let data = self.data_folder()?;
        for (case, unit, measured) in letters::measure(data.path(), sizes)? {
            self.add(LETTERS, case, 1, unit, measured);
        }
        Ok(())
    }

    fn scale(&mut self, sizes: Sizes) -> Result<(), String> {
        let (all, append) = (self.wants(SCALE), self.wants(APPEND));
        let data = self.data_folder()?;
        let mut found = Vec::new();
        if all {
            found.extend(scale::live(&data.path().join("live"), sizes.live_runs)?);
            found.extend(scale::ended(&data.path().join("ended"), sizes.ended_runs)?);
        }
        if all || append {
            found.extend(scale::append(&data.path().join("append"), sizes)?);
        }
        for (case, unit, measured) in found {
            self.add(SCALE, case, 1, unit, measured);
        }
        Ok(())
    }

    fn add_runs(&mut self, group: &'static str, steps: usize, clients: usize, mut one: Measured) {
        one.extra.insert("steps_per_second", one.per_second * steps as f64);
        self.add(group, workflow::id(steps), clients, "runs", one);
    }

    fn add(
        &mut self,
        group: &'static str,
        case: String,
        concurrency: usize,
        unit: &'static str,
        measured: Measured,
    ) {
        eprintln!("bench: {group}: {case} at {concurrency}: {:.0} {unit}/s", measured.per_second);
        self.cases.add(Case { group, case, concurrency, unit }, measured);
    }

    /// An empty folder on the same disk as the target directory.
    fn data_folder(&self) -> Result<tempfile::TempDir, String> {
        tempfile::tempdir_in(self.folder).map_err(|error| error.to_string())
    }
}
