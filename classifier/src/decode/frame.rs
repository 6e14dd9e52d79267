//! What a JPEG's segments say before its first scan (ITU-T T.81, Annex B).

use image::metadata::Orientation;

const START_OF_IMAGE: u8 = 0xD8;
const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;
/// Segments of applications: what one begins with says whose.
const JFIF: u8 = 0xE0;
const EXIF: u8 = 0xE1;
const PROGRESSIVE: [u8; 4] = [0xC2, 0xC6, 0xCA, 0xCE];
/// Of the markers from 0xC0 to 0xCF, those that begin no frame.
const NO_FRAME: [u8; 3] = [0xC4, 0xC8, 0xCC];

/// Bytes between two segments, at most. More of them may have been a segment themselves, that mattered.
const MOST_BETWEEN: usize = 16;

/// What a decoder keeps of a picture until it has read all its scans, in bytes: two for each coefficient. Nothing where
/// one scan has it all.
pub(super) fn coefficients(file: &[u8]) -> u64 {
    let mut frame = None;
    for (marker, segment) in Segments::of(file) {
        match marker {
            START_OF_SCAN => {
                let components = segment.first().copied().unwrap_or(0).into();
                return frame.map_or(0, |frame: Frame| frame.kept(components));
            }
            0xC0..=0xCF if !NO_FRAME.contains(&marker) => frame = Frame::read(marker, segment),
            _ => {}
        }
    }
    0
}

/// How it was held when it was taken, as its EXIF says; of several the last. None where none says it.
pub(super) fn orientation(file: &[u8]) -> Option<Orientation> {
    let before = Segments::of(file).take_while(|(marker, _)| *marker != START_OF_SCAN);
    let of_applications = before.filter(|(marker, _)| *marker == EXIF);
    let exif = of_applications.filter_map(|(_, segment)| segment.strip_prefix(b"Exif\0\0"));
    Orientation::from_exif_chunk(exif.last()?)
}

/// The file with what only matters to the decoder's strictness as it should be: nothing between the segments before the
/// first scan, the version of JFIF 1, and in the scan of a picture that isn't progressive all coefficients. None if it is
/// so already, or if more is wrong.
pub(super) fn tidied(file: &[u8]) -> Option<Vec<u8>> {
    let mut tidy = vec![0xFF, START_OF_IMAGE];
    let (mut is_progressive, mut segments) = (false, Segments::of(file));
    while let Some((marker, segment)) = segments.next() {
        tidy.extend([0xFF, marker]);
        tidy.extend((segment.len() as u16 + 2).to_be_bytes());
        let at = tidy.len();
        tidy.extend(segment);
        match (marker, &mut tidy[at..]) {
            (JFIF, [b'J', b'F', b'I', b'F', 0, version, ..]) => *version = 1,
            (START_OF_SCAN, [.., first, last, bits]) if !is_progressive => {
                (*first, *last, *bits) = (0, 63, 0)
            }
            (marker, _) => is_progressive |= PROGRESSIVE.contains(&marker),
        }
        if marker == START_OF_SCAN {
            tidy.extend(segments.0);
            return (tidy != file && tidy.len() + MOST_BETWEEN >= file.len()).then_some(tidy);
        }
    }
    None
}

/// Whether the picture's end is missing. Nothing in a scan looks like it.
pub(super) fn is_cut_off(file: &[u8]) -> bool {
    let mut segments = Segments::of(file);
    let scan = segments.find(|(marker, _)| *marker == START_OF_SCAN);
    scan.is_none() || !segments.0.windows(2).any(|bytes| bytes == [0xFF, END_OF_IMAGE])
}

/// Markers with what they hold, without its length, up to the first that is cut off; and what is behind the last.
struct Segments<'file>(&'file [u8]);

impl<'file> Segments<'file> {
    fn of(file: &'file [u8]) -> Self {
        Self(file.strip_prefix(&[0xFF, START_OF_IMAGE]).unwrap_or_default())
    }
}

impl<'file> Iterator for Segments<'file> {
    type Item = (u8, &'file [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.0.iter().position(|byte| *byte == 0xFF)?;
            let (marker, behind) = self.0[at + 1..].split_first()?;
            match *marker {
                // That of a preview, whose segments aren't the picture's.
                START_OF_IMAGE | END_OF_IMAGE => return None,
                // Filling, and markers without a segment.
                0xFF => self.0 = &self.0[at + 1..],
                0x00 | 0x01 | 0xD0..=0xD7 => self.0 = behind,
                marker => {
                    let length = u16::from_be_bytes(*behind.first_chunk()?).max(2).into();
                    let segment = behind.get(2..length)?;
                    self.0 = &behind[length..];
                    return Some((marker, segment));
                }
            }
        }
    }
}

struct Frame {
    is_progressive: bool,
    width: u64,
    height: u64,
    /// How finely each component is sampled, across and down.
    sampling: Vec<(u64, u64)>,
}

impl Frame {
    /// Bits a sample, height, width, how many components, and of each its number, its sampling and its table.
    fn read(marker: u8, segment: &[u8]) -> Option<Self> {
        let [_, height_high, height_low, width_high, width_low, _, components @ ..] = segment else {
            return None;
        };
        Some(Self {
            is_progressive: PROGRESSIVE.contains(&marker),
            width: u16::from_be_bytes([*width_high, *width_low]).into(),
            height: u16::from_be_bytes([*height_high, *height_low]).into(),
            sampling: components
                .chunks_exact(3)
                .map(|it| ((it[1] >> 4).into(), (it[1] & 15).into()))
                .collect(),
        })
    }

    /// Bytes to keep where the first scan has so many of the components.
    fn kept(&self, components: usize) -> u64 {
        if !self.is_progressive && components >= self.sampling.len() {
            return 0;
        }
        let finest = |of: fn(&(u64, u64)) -> u64| self.sampling.iter().map(of).max().unwrap_or(1).max(1);
        let units = self.width.div_ceil(8 * finest(|it| it.0)) * self.height.div_ceil(8 * finest(|it| it.1));
        let blocks: u64 = self.sampling.iter().map(|(across, down)| across * down).sum();
        units * blocks * 64 * 2
    }
}

#[cfg(test)]
mod tests {
    use image::metadata::Orientation;

    use super::{coefficients, is_cut_off, orientation, tidied};

    /// A header whose frame has 4:2:0, and whose first scan has so many components.
    fn header(frame: u8, components: u8) -> Vec<u8> {
        let start = [0xFF, 0xD8, 0xFF, 0xE1, 0, 4, 0xFF, 0xDA, 7, 0xFF, 0xFF];
        let frame = [frame, 0, 17, 8, 1, 0, 2, 0, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1];
        let tables = [0xFF, 0xC4, 0, 3, 0];
        [&start[..], &frame, &tables, &[0xFF, 0xDA, 0, 3, components, 1, 2, 3]].concat()
    }

    #[test]
    fn several_scans_are_kept_in_memory_whatever_they_are_called() {
        // 512 × 256 pixels, half as many again for the colours, two bytes each.
        let all = 512 * 256 * 3;
        assert_eq!(
            [(0xC0, 3), (0xC0, 1), (0xC2, 3), (0xC2, 1)].map(|(f, c)| coefficients(&header(f, c))),
            [0, all, all, all]
        );
    }

    #[test]
    fn exif_is_looked_for_among_what_applications_say_and_not_in_the_scan() {
        let segment = |content: &[u8]| [&[0xFF, 0xE1, 0, content.len() as u8 + 2][..], content].concat();
        let exif = |value: u8| {
            let entry = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0";
            segment(&[&entry[..], &[value, 0, 0, 0, 0, 0, 0, 0]].concat())
        };
        let other = segment(b"http://ns.adobe.com/xap/1.0/\0");
        let file = |before: &[u8], behind: &[u8]| {
            let header = header(0xC0, 3);
            orientation(&[&header[..2], before, &header[2..], behind].concat())
        };
        assert_eq!(file(&exif(6), &[]), Some(Orientation::Rotate90));
        assert_eq!(file(&[exif(3), exif(6), other.clone()].concat(), &[]), Some(Orientation::Rotate90));
        assert_eq!(file(&other, &exif(6)), None);
    }

    #[test]
    fn the_end_of_a_preview_isn_t_the_picture_s() {
        let (preview, header) = ([0xFF, 0xE1, 0, 4, 0xFF, 0xD9], header(0xC0, 3));
        let file = [&header[..2], &preview, &header[2..], &[1, 2, 0xFF, 0, 0xD9]].concat();
        assert!(is_cut_off(&file) && is_cut_off(&header[..2]) && is_cut_off(&[]));
        assert!(!is_cut_off(&[&file[..], &[0xFF, 0xD9, 0]].concat()));
    }

    #[test]
    fn a_segment_with_a_wrong_length_is_not_tidied_into_its_preview() {
        let header = header(0xC0, 3);
        assert!(tidied(&header).is_some(), "a byte lies between two segments");
        let between = |bytes: &[u8]| tidied(&[&header[..2], bytes, &header[2..]].concat());
        assert!(between(&[0; 14]).is_some() && between(&[0; 30]).is_none());
        assert!(between(&[0xFF, 0xE1, 0, 2, 0xFF, 0xD8]).is_none(), "another picture begins");
    }

    #[test]
    fn what_is_cut_off_or_no_jpeg_keeps_nothing() {
        let file = header(0xC2, 1);
        assert!((0..file.len() - 4).all(|length| coefficients(&file[..length]) == 0));
        assert_eq!(coefficients(&[0xFF; 9]), 0);
    }
}
