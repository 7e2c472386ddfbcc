use super::*;

fn window(query: &str) -> Result<Window, Refusal> {
    let uri = format!("/x?{query}").parse().expect("a URI");
    Window::of(&Parameters::of(&uri, &PARAMETERS).expect("known parameters"), 50)
}

fn place(query: &str) -> Option<(usize, usize)> {
    window(query).ok().map(|own| (own.offset, own.limit))
}

#[test]
fn offsets_and_pages_lead_to_the_same_place() {
    assert_eq!(place(""), Some((0, 50)));
    assert_eq!(place("offset=20&limit=10"), Some((20, 10)));
    assert_eq!(place("page=3&page_size=10"), Some((20, 10)));
    assert_eq!(place("offset=10000"), Some((10_000, 50)));
    for wrong in [
        "offset=10001",
        "limit=1001",
        "limit=0",
        "page=0",
        "page=1&offset=0",
        "limit=1&page_size=1",
        "cursor=a&offset=1",
        "page=18446744073709551615&page_size=1000",
    ] {
        assert_eq!(place(wrong), None, "{wrong}");
    }
    let deep = window("offset=10001").expect_err("too deep");
    assert!(deep.message.contains("cursor"), "{}", deep.message);
}

#[test]
fn pages_of_a_list_are_told_apart_and_a_cursor_goes_on() {
    let rows = || (10..35).collect::<Vec<u32>>();
    let mut query = "limit=10".to_owned();
    let mut seen = Vec::new();
    for (shown, more) in [(10, true), (10, true), (5, false)] {
        let (own, told) = window(&query).expect("a window").cut(rows(), u32::to_string);
        assert_eq!(
            (own.len(), &told["has_more"], &told["total"]),
            (shown, &json!(more), &json!(25))
        );
        seen.extend(own);
        query = format!("limit=10&cursor={}", told["next_cursor"].as_str().unwrap_or_default());
    }
    assert_eq!(seen, rows());
}

#[test]
fn a_short_list_is_whole_unless_a_part_is_asked_for() {
    let short = |query: &str| {
        let uri = format!("/x?{query}").parse().expect("a URI");
        let asked = Parameters::of(&uri, &PARAMETERS).expect("known parameters");
        Window::of_short(&asked).expect("a window")
    };
    let told = |query: &str| {
        let window = short(query);
        let part = window.counted_part((0..120).collect()).expect("a part");
        window.told(json!({}), "rows", &part, |row: &u32| json!(row))
    };
    let whole = told("");
    assert_eq!(whole["rows"].as_array().map(Vec::len), Some(120));
    assert_eq!((&whole["next_cursor"], whole.get("pagination")), (&Value::Null, None));
    let first = told("limit=100");
    assert_eq!((&first["next_cursor"], first.get("pagination")), (&json!("100"), None));
    let rest = told("limit=100&cursor=100");
    assert_eq!(rest["rows"].as_array().map(Vec::len), Some(20));
    assert_eq!(rest["next_cursor"], Value::Null);
    let page = told("page=3");
    assert_eq!(page["pagination"]["total"], 120);
    assert_eq!((&page["rows"][0], &page["pagination"]["has_more"]), (&json!(100), &json!(false)));
    let newest = short("limit=2&cursor=5").part(vec![9, 6, 4, 3, 1], |own| Newest::of(*own));
    let newest = newest.expect("a part");
    assert_eq!(newest.next().as_deref(), Some("3"));
    assert_eq!(newest.rows, [4, 3]);
    assert!(short("cursor=x").part(vec![1_u32], |own| *own).is_err());
}

#[tokio::test]
async fn what_is_read_in_pages_is_counted_only_where_that_is_asked_for() {
    use std::sync::Mutex;
    // Pages end early, as those of the views may.
    let asked = Mutex::new(Vec::new());
    let pages = |place: Option<usize>, most: usize| {
        let begin = place.unwrap_or(0);
        let rows: Vec<usize> = (begin..2_500).take(most.min(700)).collect();
        asked.lock().expect("no panic").push((begin, most));
        let next = begin + rows.len();
        let more = next < 2_500;
        std::future::ready(Ok::<_, Refusal>(Pages { rows, next: more.then_some(next), more }))
    };
    for (query, rows, next, total) in [
        ("limit=10", 0..10, Some(10), 0),
        ("limit=10&offset=0", 0..10, Some(10), 2_500),
        ("limit=1000&offset=650", 650..1_650, Some(1_650), 2_500),
        ("page=50&page_size=50", 2_450..2_500, None, 2_500),
        ("offset=2600", 0..0, None, 2_500),
    ] {
        asked.lock().expect("no panic").clear();
        let window = window(query).expect("a window");
        let found = window.read(None, pages).await.expect("no refusal");
        assert_eq!(found.next(), next.map(|own: usize| own.to_string()), "{query}");
        assert_eq!((found.rows, found.total), (rows.collect::<Vec<_>>(), total), "{query}");
        let reads = asked.lock().expect("no panic").len();
        assert_eq!(reads == 1, total == 0, "{query}: {reads}");
    }
}
