//! Tables for a terminal of 100 columns.

/// A table with a headline; the first column is left-aligned, the others right-aligned.
pub(crate) fn print(title: &str, head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    println!("{title}");
    line(&widths, head);
    for row in rows {
        line(&widths, &row.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn line(widths: &[usize], cells: &[&str]) {
    let cells = widths.iter().zip(cells).enumerate();
    let text: Vec<String> = cells
        .map(|(column, (width, cell))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        })
        .collect();
    println!("  {}", text.join("  ").trim_end());
}

/// Three significant digits or so, with thousands separated: `98,400`, `12.3`, `0.47`.
pub(crate) fn number(value: f64) -> String {
    if value >= 1_000.0 {
        let digits = format!("{value:.0}");
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at) % 3 == 0 {
                text.push(',');
            }
            text.push(digit);
        }
        text
    } else if value >= 100.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// A factor: `×1.23`; `-` of nothing.
pub(crate) fn times(ratio: f64) -> String {
    if ratio > 0.0 { format!("×{ratio:.2}") } else { "-".into() }
}
