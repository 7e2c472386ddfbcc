//! Server-sent events, as the HTML standard says (section 9.2, "Server-sent events"), of lines that
//! end with LF or CR LF.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its type; empty if it has none.
    pub(super) kind: String,
    /// What it says, its lines apart by line feeds.
    pub(super) data: String,
}

/// Reads a stream piece by piece.
#[derive(Debug, Default)]
pub(super) struct Parser {
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    kind: String,
    data: Option<String>,
    id: Option<String>,
    last_id: Option<String>,
}

impl Parser {
    /// The events that a piece completes.
    pub(super) fn read(&mut self, piece: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut lines = piece.split(|byte| *byte == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for end in lines {
            self.rest.extend_from_slice(end);
            let line = std::mem::take(&mut self.rest);
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.strip_suffix('\r').unwrap_or(&line)));
        }
        self.rest.extend_from_slice(last);
        events
    }

    /// The place behind the last event, or behind what was passed over since.
    pub(super) fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// How many bytes wait for the end of their line or event.
    pub(super) fn held_bytes(&self) -> usize {
        self.rest.len() + self.data.as_ref().map_or(0, String::len)
    }

    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            return self.end();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.kind),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                none => *none = Some(value.to_owned()),
            },
            // A comment, `retry`, and what later servers may say.
            _ => {}
        }
        None
    }

    fn end(&mut self) -> Option<Event> {
        self.last_id = self.id.take().or(self.last_id.take());
        let kind = std::mem::take(&mut self.kind);
        self.data.take().map(|data| Event { kind, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, data: &str) -> Event {
        Event { kind: kind.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn events_come_whole_however_the_stream_is_cut() {
        let text = "retry: 1000\nid: 1:0:0\n\n: heartbeat\n\nid: 1:0:7\r\nevent: A\r\ndata: é\r\n\r\n\
                    event: B\ndata: one\ndata:two\n\nevent: C\n\ndata: half";
        for size in 1..text.len() {
            let mut parser = Parser::default();
            let pieces = text.as_bytes().chunks(size);
            let events: Vec<_> = pieces.flat_map(|piece| parser.read(piece)).collect();
            assert_eq!(events, [event("A", "é"), event("B", "one\ntwo")], "pieces of {size}");
            assert_eq!(parser.last_id(), Some("1:0:7"));
            assert_eq!(parser.held_bytes(), "data: half".len());
        }
    }

    #[test]
    fn a_place_counts_once_its_block_has_ended() {
        let mut parser = Parser::default();
        assert_eq!(parser.read(b"id: 1\n\nid: 2\ndata: x\n"), []);
        assert_eq!(parser.last_id(), Some("1"));
        assert_eq!(parser.read(b"\n"), [event("", "x")]);
        assert_eq!(parser.last_id(), Some("2"));
    }
}
