//! What a declaration gives.

use super::*;
use crate::table::column::says;

table! {
    /// One row per name.
    pub(super) GOODS: GoodsRow<'a> = "goods", version 3, row "name" {
        #[key] name: &'a str = says("", "what it is called"),
        price: f64 = says("euro", "what it costs"),
        weight: Option<f64> = says("kg", "null where it was not weighed"),
        places: &'a [i32] = says("index", "where it lies"),
        shares: Option<&'a [f64]> = says("share", "how much of it lies there"),
    }
}

view! {
    /// What a scale shows.
    struct Weighed<'a> of [GOODS] {
        weight: Option<f64>,
        name: &'a str,
    }
}

const ROWS: [GoodsRow<'static>; 2] = [
    GoodsRow { name: "tea", price: 2.5, weight: None, places: &[1, 4], shares: None },
    GoodsRow { name: "", price: -0.0, weight: Some(3.0), places: &[], shares: Some(&[0.5]) },
];

fn written() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::create(folder.path()).unwrap();
    GoodsRow::write(&store, 4, &ROWS).unwrap();
    (folder, store)
}

#[test]
fn a_declaration_gives_the_columns_in_order() {
    let columns = GOODS.columns.iter().map(|c| (c.name, c.kind, c.nullable, c.is_key, c.unit));
    let wanted = [
        ("name", Kind::Utf8, false, true, ""),
        ("price", Kind::Float64, false, false, "euro"),
        ("weight", Kind::Float64, true, false, "kg"),
        ("places", Kind::ListInt32, false, false, "index"),
        ("shares", Kind::ListFloat64, true, false, "share"),
    ];
    assert_eq!(columns.collect::<Vec<_>>(), wanted);
    assert_eq!((GOODS.name, GOODS.version, GOODS.row), ("goods", 3, "name"));
}

#[test]
fn rows_are_read_as_they_were_written() {
    let (_folder, store) = written();
    let part = GoodsRow::part(&store, &GOODS, 4).unwrap();
    assert_eq!(GoodsRow::rows(&part).unwrap(), ROWS);
    assert!(GoodsRow::part_if_there(&store, &GOODS, 5).unwrap().is_none());
}

#[test]
fn a_view_reads_its_columns_alone_from_arrow_and_from_polars() {
    let (_folder, store) = written();
    let wanted = [Weighed { weight: None, name: "tea" }, Weighed { weight: Some(3.0), name: "" }];
    let part = Weighed::part(&store, &GOODS, 4).unwrap();
    assert_eq!(Weighed::rows(&part).unwrap(), wanted);
    assert!(part.lists("places").is_err(), "it was not read");
    let frame = Weighed::frame_if_there(&store, &GOODS, 4).unwrap().unwrap();
    assert_eq!(Weighed::rows(&frame).unwrap(), wanted);
}

#[test]
fn a_damaged_file_is_an_error_and_no_panic() {
    let (_folder, store) = written();
    let name = PartAddress::new(&GOODS, 4).file();
    let bytes = store.read(&name).unwrap();
    // Polars takes memory for whatever number a page states, and a process whom the system gives none
    // ends. It reads in a run alone, where content was compared with a receipt before: here its footers.
    let [.., a, b, c, d, _, _, _, _] = *bytes else { panic!("no Parquet") };
    let footer = bytes.len() - 8 - u32::from_le_bytes([a, b, c, d]) as usize;
    let mut errors = [0; 2];
    for i in (0..bytes.len()).step_by(2) {
        let mut damaged = bytes.clone();
        damaged[i] ^= 1 << (i / 2 % 8);
        // As one that this process wrote, so that it is decoded.
        store.write(&name, &damaged).unwrap();
        errors[0] += usize::from(GoodsRow::part(&store, &GOODS, 4).is_err());
        if i >= footer {
            errors[1] += usize::from(GoodsRow::frame(&store, &GOODS, 4).is_err());
        }
    }
    let of = [bytes.len() / 2, (bytes.len() - footer) / 2];
    assert!(errors[0] > of[0] / 5 && errors[1] > of[1] / 5, "{errors:?} of {of:?}");
}

#[test]
fn a_view_fits_only_columns_of_its_names_types_and_nulls() {
    assert!(has_columns(&GOODS, &[("weight", Kind::Float64, true)]));
    for wrong in [
        ("height", Kind::Float64, true),
        ("weight", Kind::Float64, false),
        ("weight", Kind::Int64, true),
    ] {
        assert!(!has_columns(&GOODS, &[("name", Kind::Utf8, false), wrong]), "{wrong:?}");
    }
}

/// A table of the same name as written by some other version.
mod other {
    use crate::table::column::says;

    table! {
        /// One row per name.
        pub(super) GOODS: OtherRow<'a> = "goods", version 2, row "name" {
            #[key] name: Option<&'a str> = says("", "what it is called"),
            price: i64 = says("cent", "what it costs"),
        }
    }
}

#[test]
fn a_file_with_another_type_or_a_null_is_refused_by_column() {
    let (_folder, store) = written();
    other::OtherRow::write(&store, 4, &[other::OtherRow { name: None, price: 1 }]).unwrap();
    view! {
        /// A null where none may be.
        struct Named<'a> of [GOODS] {
            name: &'a str,
        }
    }
    view! {
        /// Another type.
        struct Priced<'a> of [GOODS] {
            price: f64,
            name: &'a str,
        }
    }
    let error = Named::rows(&Named::part(&store, &GOODS, 4).unwrap()).unwrap_err();
    assert!(error.to_string().contains("has a null in column 'name'"), "{error}");
    let error = Priced::rows(&Priced::part(&store, &GOODS, 4).unwrap()).unwrap_err();
    assert!(error.to_string().contains("another type in column 'price'"), "{error}");
    let error = Named::rows(&Named::frame(&store, &GOODS, 4).unwrap()).unwrap_err();
    assert!(error.to_string().contains("has a null in column 'name'"), "{error}");
    assert!(GoodsRow::part(&store, &GOODS, 4).is_err(), "it lacks columns");
}
