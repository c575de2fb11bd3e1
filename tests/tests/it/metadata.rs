//! EXIF: the orientation is applied, the rest is dropped.

use emporium_tests::{app::App, pictures::sideways_jpeg};
use image::GenericImageView as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_sideways_photograph_stands_upright_and_says_nothing_of_its_place() {
    let app = App::start().await;
    let original = sideways_jpeg(64, 32);
    let uuid = app.dithered("a.jpg", original.clone()).await;
    let image = app.get(&format!("/images/{uuid}")).await.json();
    assert_eq!(
        (&image["width"], &image["height"]),
        (&32.into(), &64.into())
    );

    let variant = app.get(&format!("/images/{uuid}/file?w=16")).await.body;
    let picture = image::load_from_memory(&variant).expect("a picture");
    assert_eq!(picture.dimensions(), (16, 32));
    for trace in [b"Exif".as_slice(), b"GPS"] {
        assert!(original.windows(trace.len()).any(|window| window == trace));
        assert!(!variant.windows(trace.len()).any(|window| window == trace));
    }

    let dithered = app.get(&format!("/dither/images/{uuid}/2/file")).await.body;
    let picture = image::load_from_memory(&dithered).expect("a picture");
    assert_eq!(picture.dimensions(), (32, 64));
}
