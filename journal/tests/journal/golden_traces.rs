//! The format of the trace that a run belongs to.

use backstitch_core::event::{Event, LinkEvent, RunEvent};
use backstitch_core::ids::StreamId;
use backstitch_core::time::Timestamp;
use backstitch_core::trace::{SpanId, TraceContext, TraceId};
use backstitch_journal::{Commit, CommitBuilder, Fit, Origin};

use crate::golden::{RUN, commit_2};

/// Traces: of somebody's span, and below nobody's.
pub fn commit_traces() -> Commit {
    let origin = Origin { store: *b"0123456789abcdef", generation: 4 };
    let mut builder = CommitBuilder::new(origin, RUN.partition, 9, &commit_2().head());
    let at = Timestamp(1_763_639_179_000_000);
    let told = TraceContext {
        trace: TraceId(0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736),
        parent: Some(SpanId(0x00f0_67aa_0ba9_02b7)),
        sampled: true,
        state: "vendor=x,other@sys=y".into(),
    };
    let root = TraceContext { parent: None, sampled: false, state: "".into(), ..told.clone() };
    for (version, context) in (4..).zip([told, root]) {
        let event = Event::Run(RunEvent::Link(LinkEvent::Traced(Box::new(context))));
        assert_eq!(builder.push(&StreamId::Execution(RUN), version, at, &event), Fit::Fits);
    }
    builder.finish(Timestamp(0))
}
