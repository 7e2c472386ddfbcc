//! `docs/permissions.md` is the table of routes and permissions, printed; every permission opens a
//! route.

use std::fmt::Write as _;

use backstitch_api::http::{Access, Route, routes};
use backstitch_core::access::Permission;

use super::sources;

const PAGE: &str = "docs/permissions.md";

const HEAD: &str = "\
# Permissions

Which permission each route needs, printed from the routes themselves; none includes another, and `*` is all of them.
[Authentication](authentication.md) says who has which. Those of the store count in the namespace `default` only. Where some
requests of a route read or do what another permission is for, they need that, too: it stands behind the route, and the route
below it.
";

/// A route, and what some requests of it need beside its permission.
fn line(route: &Route) -> String {
    let further = route.further.iter();
    let further = further.map(|own| format!("; {} also `{}`", own.what_for, own.permission.word()));
    format!("- `{} {}`{}\n", route.method, route.path, further.collect::<String>())
}

/// A route of another permission, if some requests of it need this one.
fn asked(route: &Route, access: Access) -> Option<String> {
    let own = route.further.iter().find(|own| access == own.permission.into())?;
    Some(format!("- {} of `{} {}`\n", own.what_for, route.method, route.path))
}

fn printed() -> String {
    let mut page = HEAD.to_owned();
    let routes = routes();
    let mut print = |title: &str, access: Access| {
        let own = routes.iter().filter(|own| own.access == access);
        let asked = routes.iter().filter_map(|own| asked(own, access));
        let lines: Vec<_> = own.map(line).chain(asked).collect();
        if !lines.is_empty() {
            write!(page, "\n## {title}\n\n{}", lines.concat()).expect("texts take all");
        }
    };
    print("Open to everybody", Access::Open);
    for (permission, word) in Permission::WORDS {
        let of = if permission.is_of_the_store() { ", of the store" } else { "" };
        print(&format!("`{word}`{of}"), Access::Needs(permission));
    }
    page
}

#[test]
fn the_page_is_the_table_of_routes() {
    let path = sources::root().join(PAGE);
    let printed = printed();
    if std::env::var_os("BACKSTITCH_WRITE_DOCS").is_some() {
        std::fs::write(&path, &printed).expect("docs can be written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == printed,
        "{PAGE} is not the table of routes; run this test with BACKSTITCH_WRITE_DOCS=1"
    );
}

#[test]
fn every_permission_opens_a_route() {
    let used = |own: &Permission| {
        let asked = |route: &Route| route.further.iter().any(|other| other.permission == *own);
        routes().iter().any(|route| route.access == (*own).into() || asked(route))
    };
    let unused: Vec<_> =
        Permission::WORDS.iter().map(|(own, _)| *own).filter(|own| !used(own)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}
