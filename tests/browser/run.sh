#!/bin/sh
# Runs the notebook's experiment, opens its report in headless Chromium, and makes sure that the
# check would have noticed mistakes. Pages that `cargo test` left behind (other shapes of runs) are
# checked too. AQLENS names the binary; CHROMIUM the browser, when it is not on the PATH.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
aqlens=${AQLENS:-$root/target/release/aqlens}
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

echo "== running pipelines/experiment-037.yml"
"$aqlens" run "$root/pipelines/experiment-037.yml" --run-dir "$folder/run" --quiet

echo "== opening its report"
"$python" "$here/check_report.py" "$folder/run/report.html" "$folder/report.png"

echo "== opening reports of other shapes"
pages=${CARGO_TARGET_DIR:-$root/target}/tmp/report-pages
if [ -d "$pages" ]; then
    for page in "$pages"/*.html; do
        # Nobody looks at these pictures, so they show what is in the window.
        "$python" "$here/check_report.py" "$page" "$folder/page.png" --height 900
    done
else
    echo "none: 'make test' leaves them in $pages"
fi

echo "== planting mistakes in the report: each must be found"
"$python" "$here/test_check_report.py" "$folder/run/report.html"
