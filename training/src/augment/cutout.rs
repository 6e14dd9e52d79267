use std::ops::Range;

use image::{GrayImage, Luma, Rgb, RgbImage, imageops};

use crate::dice::Dice;

/// From here on, all three of its values, a pixel may be background.
const WHITE: u8 = 233;
/// Shares of a photo that an article may fill: anything else is hardly one.
const FILLS: Range<f32> = 0.08..0.9;
/// How soft the edge is, in pixels.
const EDGE: f32 = 0.8;

/// An article without its background.
#[derive(Debug)]
pub(super) struct Cutout {
    article: RgbImage,
    /// 255 where the article is.
    mask: GrayImage,
}

impl Cutout {
    /// What near-white touches the photo's edge is background. None if that is not clear.
    pub(super) fn of(photo: &RgbImage) -> Option<Self> {
        let background = flood(photo);
        let (width, height) = photo.dimensions();
        // A pixel beside the background is white in part.
        let is_article = |x: u32, y: u32| {
            let around = (x.saturating_sub(1)..=(x + 1).min(width - 1))
                .flat_map(|x| (y.saturating_sub(1)..=(y + 1).min(height - 1)).map(move |y| (x, y)));
            around.into_iter().all(|(x, y)| !background[(y * width + x) as usize])
        };
        let mask = GrayImage::from_fn(width, height, |x, y| Luma([255 * u8::from(is_article(x, y))]));
        let articles = background.iter().filter(|it| !**it).count();
        if !FILLS.contains(&(articles as f32 / background.len() as f32)) {
            return None;
        }
        let (x, y, width, height) = bounds(&mask)?;
        Some(Self {
            article: imageops::crop_imm(photo, x, y, width, height).to_image(),
            mask: imageops::crop_imm(&mask, x, y, width, height).to_image(),
        })
    }

    /// Without the upper or the lower end, each with this chance.
    pub(super) fn cut_off(&mut self, chance: f32, dice: &mut Dice) {
        let height = self.article.height() as f32;
        let mut off =
            |most: f32| if dice.happens(chance) { (height * dice.between(0.05..most)) as u32 } else { 0 };
        let (head, legs) = (off(0.25), off(0.35));
        let (width, rest) = (self.article.width(), (self.article.height() - head - legs).max(1));
        self.article = imageops::crop_imm(&self.article, 0, head, width, rest).to_image();
        self.mask = imageops::crop_imm(&self.mask, 0, head, width, rest).to_image();
    }

    /// Puts it on the ground: its longer side a share of the ground's within `sizes`, turned by up to `turn` degrees, with
    /// its middle somewhere around the ground's, and maybe a shadow.
    pub(super) fn paste(self, ground: &mut RgbImage, sizes: Range<f32>, turn: f32, dice: &mut Dice) {
        let (width, height) = (ground.width() as f32, ground.height() as f32);
        let (own_width, own_height) = (self.article.width() as f32, self.article.height() as f32);
        let fit = (width / own_width).min(height / own_height);
        let scale = fit * dice.between(sizes);
        let free = |whole: f32, own: f32| (whole - own * scale).abs() / 2.0;
        let mut middle = |whole: f32, own: f32| whole / 2.0 + free(whole, own) * dice.between(-1.0..1.0);
        let (x, y) = (middle(width, own_width), middle(height, own_height));
        let place = Place { x, y, scale, turn: dice.between(-turn..turn).to_radians() };
        let mask = imageops::fast_blur(&place.mask(&self.mask, width as u32, height as u32), EDGE);
        if dice.happens(0.5) {
            shade(ground, &mask, dice);
        }
        for (x, y, pixel) in ground.enumerate_pixels_mut() {
            let share = f32::from(mask.get_pixel(x, y)[0]) / 255.0;
            if share > 0.0 {
                let (from_x, from_y) = place.back(x as f32, y as f32, own_width, own_height);
                let Rgb(article) = sample(&self.article, from_x, from_y);
                pixel.0 = std::array::from_fn(|i| mix(pixel.0[i], article[i], share));
            }
        }
    }
}

/// Where an article's middle goes, how large it gets, and by how many radians it is turned.
#[derive(Debug)]
struct Place {
    x: f32,
    y: f32,
    scale: f32,
    turn: f32,
}

impl Place {
    /// What of an article of this size comes to a place of the ground.
    fn back(&self, x: f32, y: f32, width: f32, height: f32) -> (f32, f32) {
        let (sin, cos) = self.turn.sin_cos();
        let (x, y) = ((x - self.x) / self.scale, (y - self.y) / self.scale);
        (x * cos + y * sin + width / 2.0, y * cos - x * sin + height / 2.0)
    }

    /// The mask as it lies on the ground.
    fn mask(&self, mask: &GrayImage, width: u32, height: u32) -> GrayImage {
        let (own_width, own_height) = mask.dimensions();
        GrayImage::from_fn(width, height, |x, y| {
            let (x, y) = self.back(x as f32, y as f32, own_width as f32, own_height as f32);
            let is_inside = (0.0..own_width as f32).contains(&x) && (0.0..own_height as f32).contains(&y);
            if is_inside { *mask.get_pixel(x as u32, y as u32) } else { Luma([0]) }
        })
    }
}

/// Which pixels are background: those near white that others connect with the edge.
fn flood(photo: &RgbImage) -> Vec<bool> {
    let (width, height) = photo.dimensions();
    let mut background = vec![false; (width * height) as usize];
    let mut open = Vec::new();
    // Marked before it waits, so that each waits once at the most.
    let mut reach = |x: u32, y: u32, open: &mut Vec<(u32, u32)>| {
        let seen = &mut background[(y * width + x) as usize];
        if !*seen && photo.get_pixel(x, y).0.iter().all(|value| *value >= WHITE) {
            *seen = true;
            open.push((x, y));
        }
    };
    let sides = (0..height).flat_map(|y| [(0, y), (width - 1, y)]);
    let edge = (0..width).flat_map(|x| [(x, 0), (x, height - 1)]).chain(sides);
    edge.for_each(|(x, y)| reach(x, y, &mut open));
    while let Some((x, y)) = open.pop() {
        let next = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
        let next = next.into_iter().filter(|(x, y)| *x < width && *y < height);
        next.for_each(|(x, y)| reach(x, y, &mut open));
    }
    background
}

/// The smallest part that has the whole article: x, y, width and height.
fn bounds(mask: &GrayImage) -> Option<(u32, u32, u32, u32)> {
    let inside = || mask.enumerate_pixels().filter(|(_, _, value)| value[0] > 0);
    let (left, right) = (inside().map(|it| it.0).min()?, inside().map(|it| it.0).max()?);
    let (top, bottom) = (inside().map(|it| it.1).min()?, inside().map(|it| it.1).max()?);
    Some((left, top, right - left + 1, bottom - top + 1))
}

/// The article's shadow on the ground, as of a lamp above it.
fn shade(ground: &mut RgbImage, mask: &GrayImage, dice: &mut Dice) {
    let soft = imageops::fast_blur(mask, dice.between(3.0..10.0));
    let (right, down) = (dice.between(-12.0..12.0) as i64, dice.between(2.0..14.0) as i64);
    let depth = dice.between(0.15..0.5);
    for (x, y, pixel) in ground.enumerate_pixels_mut() {
        let from = (i64::from(x) - right, i64::from(y) - down);
        let (Ok(x), Ok(y)) = (u32::try_from(from.0), u32::try_from(from.1)) else { continue };
        if let Some(shadow) = soft.get_pixel_checked(x, y) {
            let share = depth * f32::from(shadow[0]) / 255.0;
            pixel.0 = pixel.0.map(|value| mix(value, 0, share));
        }
    }
}

/// Between pixels, of the four around; what is outside is like the edge.
fn sample(picture: &RgbImage, x: f32, y: f32) -> Rgb<u8> {
    let (x, y) = (x - 0.5, y - 0.5);
    let pixel = |x: f32, y: f32| {
        let x = (x.max(0.0) as u32).min(picture.width() - 1);
        picture.get_pixel(x, (y.max(0.0) as u32).min(picture.height() - 1)).0
    };
    let (left, top) = (x.floor(), y.floor());
    let (right, down) = (x - left, y - top);
    let [a, b] = [pixel(left, top), pixel(left + 1.0, top)];
    let [c, d] = [pixel(left, top + 1.0), pixel(left + 1.0, top + 1.0)];
    Rgb(std::array::from_fn(|i| mix(mix(a[i], b[i], right), mix(c[i], d[i], right), down)))
}

fn mix(one: u8, other: u8, share: f32) -> u8 {
    (f32::from(one) * (1.0 - share) + f32::from(other) * share).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixel by pixel, until nothing changes.
    fn slowly(photo: &RgbImage) -> Vec<bool> {
        let (width, height) = photo.dimensions();
        let place = |x: u32, y: u32| (y * width + x) as usize;
        let mut background = vec![false; (width * height) as usize];
        loop {
            let before = background.clone();
            for (x, y, pixel) in photo.enumerate_pixels() {
                let is_edge = x == 0 || y == 0 || x == width - 1 || y == height - 1;
                let is_beside = || {
                    [place(x - 1, y), place(x + 1, y), place(x, y - 1), place(x, y + 1)]
                        .iter()
                        .any(|it| before[*it])
                };
                let is_white = pixel.0.iter().all(|value| *value >= WHITE);
                background[place(x, y)] |= is_white && (is_edge || is_beside());
            }
            if background == before {
                return background;
            }
        }
    }

    #[test]
    fn near_white_that_is_connected_with_the_edge_is_background() {
        for (copy, (width, height)) in (0..).zip([(1, 1), (1, 9), (2, 2), (31, 17), (17, 31), (24, 24)]) {
            for share in [0.0, 0.4, 0.6, 0.9, 1.0] {
                let mut dice = Dice::new(1, b"snow", copy);
                let photo = RgbImage::from_fn(width, height, |_, _| {
                    Rgb(if dice.happens(share) { [WHITE, 255, 240] } else { [255, WHITE - 1, 255] })
                });
                assert_eq!(flood(&photo), slowly(&photo), "{width} × {height}, {share} white");
            }
        }
    }
}
