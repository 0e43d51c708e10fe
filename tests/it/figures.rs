//! Every chart and table as CSV, SVG and PNG, in the colours that a person chose.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use image::ImageFormat;
use protoclip_studio::server::routes;
use protoclip_studio::studio::RunId;
use serde_json::json;

use crate::support::scripted_runner::Action;
use crate::support::test_site::{Answer, HOST, TestSite};

async fn finished(site: &TestSite) -> RunId {
    let id = site.running().await;
    site.runner.steps(3);
    site.runner.act(Action::Evaluate(vec![
        ("eval/recall_mean", 12.5),
        ("eval/recall_image_to_text_1", 4.0),
    ]));
    site.runner.act(Action::Finish);
    site.wait_for(&id, |run| run.state.name() == "finished")
        .await;
    id
}

fn svg(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "image/svg+xml");
    let text = answer.text();
    assert!(text.starts_with("<svg"), "{text}");
    text
}

fn png(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "image/png");
    let picture = image::load_from_memory_with_format(&answer.body, ImageFormat::Png);
    let picture = picture.expect("a picture").to_luma8();
    assert!(
        picture.pixels().any(|pixel| pixel.0[0] < 120),
        "it has text"
    );
}

#[tokio::test]
async fn tables_are_files_of_three_kinds_with_the_same_rows() {
    let site = TestSite::new();
    let id = finished(&site).await;
    for (table, word) in [
        ("/api/runs".to_owned(), "finished"),
        (format!("/api/runs/{id}/log"), "finished"),
        (format!("/api/runs/{id}/config"), "prototypes.count"),
        (format!("/api/runs/{id}/evaluation"), "Mean recall"),
        ("/api/datasets".to_owned(), "builtin"),
        ("/api/datasets/builtin/words".to_owned(), "face"),
        ("/api/datasets/builtin/skipped".to_owned(), "reason"),
        ("/api/storage".to_owned(), "trash"),
        ("/api/checkpoints".to_owned(), "mean_recall"),
    ] {
        let csv = site.get(&format!("{table}.csv")).await;
        assert_eq!(csv.status, StatusCode::OK, "{table}: {}", csv.text());
        assert!(
            csv.header("content-type").starts_with("text/csv"),
            "{table}"
        );
        assert!(csv.text().contains(word), "{table}: {}", csv.text());
        let drawn = svg(&site.get(&format!("{table}.svg")).await);
        assert!(drawn.contains(word), "{table}: {drawn}");
        png(&site.get(&format!("{table}.png")).await);
    }
    let unknown = site.get("/api/runs/none/log.svg").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tables_of_a_comparison_are_files_too() {
    let site = TestSite::new();
    let first = finished(&site).await;
    let body =
        json!({"name": "fewer", "episode_size": 48, "batch_size": 16, "prototypes": {"count": 5}});
    let second = site.ask(Method::POST, "/api/runs", Some(body)).await;
    assert_eq!(second.status, StatusCode::CREATED, "{}", second.text());
    let second = second.json()["id"].as_str().expect("an id").to_owned();
    let runs = format!("runs={first},{second}");
    let settings = site.get(&format!("/api/compare/settings.csv?{runs}")).await;
    let count = settings.text();
    let count = count
        .lines()
        .find(|line| line.starts_with("prototypes.count,"));
    assert!(count.expect("a row").ends_with(",5"), "{count:?}");
    let measures = site.get(&format!("/api/compare/measures.csv?{runs}")).await;
    assert!(measures.text().contains(",12.5,\n"), "{}", measures.text());
    let grouping = site.get(&format!("/api/compare/grouping.csv?{runs}")).await;
    assert!(
        grouping.text().starts_with("run,space,ami,"),
        "{}",
        grouping.text()
    );
    for table in ["settings", "measures", "grouping"] {
        let drawn = svg(&site.get(&format!("/api/compare/{table}.svg?{runs}")).await);
        assert!(drawn.contains("fewer") || table == "grouping", "{drawn}");
        png(&site.get(&format!("/api/compare/{table}.png?{runs}")).await);
        let alone = site
            .get(&format!("/api/compare/{table}.csv?runs={first}"))
            .await;
        assert_eq!(alone.status, StatusCode::UNPROCESSABLE_ENTITY, "{table}");
    }
}

#[test]
fn no_table_is_offered_as_csv_alone() {
    let all: Vec<&str> = routes().iter().map(|route| route.path).collect();
    // These are the numbers behind a chart, whose figure stands elsewhere.
    let of_charts = [
        "/api/runs/{id}/gap/cosines.csv",
        "/api/runs/{id}/gap/prototypes.csv",
    ];
    let tables = all.iter().filter_map(|path| path.strip_suffix(".csv"));
    let mut alone: Vec<String> = Vec::new();
    for table in tables {
        for kind in ["svg", "png"] {
            let path = format!("{table}.{kind}");
            if !all.contains(&path.as_str()) && !of_charts.contains(&&*format!("{table}.csv")) {
                alone.push(path);
            }
        }
    }
    assert!(alone.is_empty(), "absent: {alone:?}");
}

#[tokio::test]
async fn the_curves_of_a_chart_share_a_figure_and_a_table() {
    let site = TestSite::new();
    let id = finished(&site).await;
    let asked = "tag=eval%2Frecall_mean&label=mean&hue=total\
                 &tag=eval%2Frecall_image_to_text_1&label=to%20text&hue=image\
                 &tag=no%2Fsuch&title=Retrieval&unit=%25";
    let text = svg(&site
        .get(&format!("/api/runs/{id}/series.svg?{asked}"))
        .await);
    for word in ["Retrieval", "mean", "to text", "#0072B2"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(
        !text.contains("no/such"),
        "a curve without points has no line"
    );
    png(&site
        .get(&format!("/api/runs/{id}/series.png?{asked}"))
        .await);
    let csv = site
        .get(&format!("/api/runs/{id}/series.csv?{asked}"))
        .await;
    let lines = csv.text();
    let header = "step,\"eval/recall_mean\",\"eval/recall_image_to_text_1\",\"no/such\"\n";
    assert!(lines.starts_with(header), "{lines}");
    assert!(lines.ends_with("\n3,12.5,4,\n"), "{lines}");
    let live = site.get(&format!("/runs/{id}")).await.text();
    assert!(
        live.contains("series.png?tag=train%2Floss%5Fproto&#38;label=prototype")
            || live.contains("series.png?tag=train%2Floss_proto&#38;label=prototype"),
        "{live}"
    );
    for path in ["series.svg", "series.csv"] {
        let nothing = site.get(&format!("/api/runs/{id}/{path}")).await;
        assert_eq!(nothing.status, StatusCode::BAD_REQUEST, "{path}");
        let unknown = site.get(&format!("/api/runs/none/{path}")).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_compared_curve_is_a_figure_with_a_line_per_run() {
    let site = TestSite::new();
    let first = finished(&site).await;
    let second = finished(&site).await;
    let asked = format!("runs={first},{second}&tag=train%2Floss_total&title=Total%20loss");
    let text = svg(&site.get(&format!("/api/compare/series.svg?{asked}")).await);
    let end = second.as_str().rsplit('-').next().expect("an end");
    assert!(text.contains("Total loss") && text.contains(end), "{text}");
    png(&site
        .get(&format!(
            "/api/compare/series.png?{asked}&of=difference&axis=time"
        ))
        .await);
    let page = site
        .get(&format!("/compare?runs={first},{second}"))
        .await
        .text();
    assert!(page.contains("/api/compare/series.svg?"), "{page}");
    let absent = site
        .get(&format!(
            "/api/compare/series.svg?runs={first},{second}&tag=x"
        ))
        .await;
    assert_eq!(absent.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn figures_have_the_colours_of_the_settings_or_of_the_address() {
    let site = TestSite::new();
    let id = finished(&site).await;
    let path = format!("/api/runs/{id}/series.svg?tag=train%2Floss_total&hue=text");
    let with_cookie = |path: String, cookie: &str| {
        let request = Request::get(path)
            .header("host", HOST)
            .header("cookie", cookie);
        site.send(request.body(Body::empty()).expect("a request"))
    };
    let plain = svg(&site.get(&path).await);
    assert!(plain.contains("#D55E00"), "{plain}");
    let chosen = svg(&with_cookie(path.clone(), "palette=lightness").await);
    assert!(
        chosen.contains("#BB5566") && !chosen.contains("#D55E00"),
        "{chosen}"
    );
    let asked = format!("{path}&palette=okabe-ito");
    let asked = svg(&with_cookie(asked, "palette=lightness").await);
    assert!(asked.contains("#D55E00"), "the address counts: {asked}");
    let wrong = site.get(&format!("{path}&palette=neon")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("lightness"), "{}", wrong.text());
}
