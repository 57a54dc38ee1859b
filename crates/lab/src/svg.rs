//! Pictures as SVG, written piece by piece. Only presentation attributes: a page
//! that allows no style of its own shows them as they are.

use std::fmt::Write as _;

/// The ink of text and lines, and a fainter one.
pub(crate) const INK: &str = "#1b1f24";
pub(crate) const FAINT: &str = "#6a737d";
/// Lines of a grid, and the ground of empty cells.
pub(crate) const GRID: &str = "#e3e6ea";
/// Colours that colour-blind people tell apart (Okabe and Ito).
pub(crate) const BLUE: &str = "#0072b2";
pub(crate) const ORANGE: &str = "#d55e00";
pub(crate) const GREEN: &str = "#009e73";
pub(crate) const PURPLE: &str = "#a5478c";

/// Where text stands to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture that grows.
#[derive(Debug)]
pub(crate) struct Svg {
    out: String,
}

impl Svg {
    /// An empty picture of so many pixels; `about` tells those who cannot see it.
    pub(crate) fn new(width: f64, height: f64, about: &str) -> Self {
        let mut out = String::new();
        let _ = write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
             font-family=\"system-ui, 'DejaVu Sans', sans-serif\">\n<title>{}</title>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
            escape(about)
        );
        Self { out }
    }

    pub(crate) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, fill: &str) {
        let _ = writeln!(
            self.out,
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{fill}\"/>"
        );
    }

    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: &str, width: f64) {
        let _ = writeln!(
            self.out,
            "<line x1=\"{:.2}\" y1=\"{:.2}\" x2=\"{:.2}\" y2=\"{:.2}\" stroke=\"{stroke}\" stroke-width=\"{width}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    /// A line through points; dashed where `dash` says how.
    pub(crate) fn path(&mut self, points: &[(f64, f64)], stroke: &str, width: f64, dash: Option<&str>) {
        let dash = dash.map(|dash| format!(" stroke-dasharray=\"{dash}\"")).unwrap_or_default();
        self.out.push_str("<polyline points=\"");
        for (x, y) in points {
            let _ = write!(self.out, "{x:.1},{y:.1} ");
        }
        let _ = writeln!(
            self.out,
            "\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"{width}\" stroke-linejoin=\"round\"{dash}/>"
        );
    }

    /// A dot, filled or as a ring.
    pub(crate) fn dot(&mut self, at: (f64, f64), radius: f64, colour: &str, filled: bool) {
        let fill = if filled { colour } else { "#ffffff" };
        let _ = writeln!(
            self.out,
            "<circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"{radius}\" fill=\"{fill}\" stroke=\"{colour}\" stroke-width=\"1.8\"/>",
            at.0, at.1
        );
    }

    pub(crate) fn text(&mut self, at: (f64, f64), size: f64, anchor: Anchor, fill: &str, text: &str) {
        self.lettering(at, size, anchor, fill, "", text);
    }

    pub(crate) fn bold(&mut self, at: (f64, f64), size: f64, anchor: Anchor, fill: &str, text: &str) {
        self.lettering(at, size, anchor, fill, " font-weight=\"600\"", text);
    }

    /// Text that runs upwards, as beside an axis.
    pub(crate) fn upwards(&mut self, at: (f64, f64), size: f64, fill: &str, text: &str) {
        let turned = format!(" transform=\"rotate(-90 {:.2} {:.2})\"", at.0, at.1);
        self.lettering(at, size, Anchor::Middle, fill, &turned, text);
    }

    fn lettering(
        &mut self,
        at: (f64, f64),
        size: f64,
        anchor: Anchor,
        fill: &str,
        attributes: &str,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = writeln!(
            self.out,
            "<text x=\"{:.2}\" y=\"{:.2}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{fill}\"{attributes}>{}</text>",
            at.0,
            at.1,
            escape(text)
        );
    }

    pub(crate) fn finish(mut self) -> String {
        self.out.push_str("</svg>\n");
        self.out
    }
}

/// Distances of the marks of an axis up to `most`: about `count` of them, at 1, 2
/// or 5 times a power of ten.
pub(crate) fn step(most: f64, count: f64) -> f64 {
    let raw = (most / count).max(1e-9);
    let power = 10_f64.powf(raw.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0];
    times.into_iter().map(|times| times * power).find(|step| *step >= raw * 0.999).unwrap_or(raw)
}

/// Octets in words, e.g. `16 MiB`.
pub(crate) fn mebi(octets: u64) -> String {
    let mebi = octets as f64 / f64::from(1024 * 1024);
    if mebi >= 10.0 || mebi.fract() == 0.0 { format!("{mebi:.0} MiB") } else { format!("{mebi:.2} MiB") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_marks() {
        for (most, count, expected) in
            [(100.0, 5.0, 20.0), (7.0, 5.0, 2.0), (60.0, 6.0, 10.0), (0.9, 5.0, 0.2)]
        {
            assert!((step(most, count) - expected).abs() < 1e-9, "{most}");
        }
    }

    #[test]
    fn text_is_escaped() {
        let mut svg = Svg::new(10.0, 10.0, "a < b");
        svg.text((0.0, 0.0), 10.0, Anchor::Start, INK, "max{\"N\" & <F>}");
        let text = svg.finish();
        assert!(text.contains("a &lt; b") && text.contains("max{&quot;N&quot; &amp; &lt;F&gt;}"), "{text}");
    }
}
