//! Pages of HTML about models, which need nothing beside them: `autorma train` and `autorma evaluate` write such.

mod plot;
mod reliability;

use autorma_schemas::printable;
pub use plot::{Line, plot};
pub use reliability::reliability;

use crate::NotJudged;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1f2937}\
table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #d1d5db;padding:.2rem .5rem;text-align:right}\
th:first-child,td:first-child{text-align:left}.plots{display:flex;flex-wrap:wrap;gap:1rem}svg{width:26rem}\
svg text{font:11px sans-serif}svg .count{font-size:8px}.axis{fill:none;stroke:#9ca3af}polyline{fill:none;stroke-width:1.6}\
.bar{fill:#bfdbfe}.interval{stroke:#1c6dd0;stroke-width:1.6}.mean{fill:#1c6dd0}.ideal{stroke:#6b7280;stroke-dasharray:4 3}\
.photos{display:flex;flex-wrap:wrap;gap:.6rem}figure{margin:0;width:7.5rem;font-size:12px}img{height:6rem;max-width:100%;object-fit:contain}";

/// A page with this title, which may be any text, and body, which is HTML.
pub fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <h1>{title}</h1>{body}</html>\n"
    )
}

/// A table with a line of names above its rows. Names and cells may be any text.
pub fn table(names: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let names: String = names.iter().map(|name| format!("<th>{}", escaped(name))).collect();
    let row = |cells: Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{}", escaped(cell))).collect();
        format!("<tr>{cells}</tr>")
    };
    let rows: String = rows.into_iter().map(row).collect();
    format!("<table><tr>{names}</tr>{rows}</table>")
}

/// A list of photos that a model says nothing of.
pub fn list(photos: &[NotJudged]) -> String {
    let item = |it: &NotJudged| format!("<li>{}: {}</li>", escaped(&it.path), escaped(&it.why));
    let items = photos.iter().map(item);
    format!("<ul>{}</ul>", items.collect::<String>())
}

/// Photos of each class (row) by the class that they were taken for (column), both in the order of `classes`.
pub fn confusion(classes: &[String], confusion: &[Vec<usize>]) -> String {
    let names: Vec<_> = std::iter::once("is \\ named").chain(classes.iter().map(String::as_str)).collect();
    let row = |(class, counts): (&String, &Vec<usize>)| {
        std::iter::once(class.clone()).chain(counts.iter().map(ToString::to_string)).collect()
    };
    table(&names, classes.iter().zip(confusion).map(row))
}

/// As text in a page, or in an attribute: a file's name may hold anything.
pub fn escaped(text: &str) -> String {
    // What would turn the line around isn't harmless either.
    let text = printable(text).replace('&', "&amp;").replace('<', "&lt;");
    text.replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_plays_with_the_page() {
        assert_eq!(escaped("a<b>&\"\n.jpg"), "a&lt;b&gt;&amp;&quot;\\u{a}.jpg");
        assert_eq!(escaped("\u{202e}gpj.\u{2066}a\u{2069}"), "\\u{202e}gpj.\\u{2066}a\\u{2069}");
        let hostile = "<script>".to_owned();
        let bodies = [
            table(&[&hostile], [vec![hostile.clone()]]),
            list(&[NotJudged { path: hostile.clone(), why: hostile.clone() }]),
            confusion(std::slice::from_ref(&hostile), &[vec![7]]),
            plot(&hostile, &hostile, &[Line { name: &hostile, points: vec![(1.0, 1.0)] }]),
        ];
        let page = page(&hostile, &bodies.concat());
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"), "{page}");
    }

    #[test]
    fn a_confusion_has_a_row_and_a_column_for_each_class() {
        let html = confusion(&["shirts".into(), "tops".into()], &[vec![5, 1], vec![2, 7]]);
        assert!(html.contains("<th>shirts<th>tops</tr>"), "{html}");
        assert!(html.contains("<tr><td>shirts<td>5<td>1</tr><tr><td>tops<td>2<td>7</tr>"), "{html}");
    }
}
