"""The browser check must be able to fail: every mistake planted in a good report is found.

    test_check_report.py REPORT.html
"""

import pathlib
import re
import sys
import tempfile
import unittest

from check_report import check

REPORT = None
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')


class PlantedMistakes(unittest.TestCase):
    def problems(self, change):
        text = REPORT.read_text(encoding="utf-8")
        changed = change(text)
        self.assertNotEqual(text, changed, "the mistake was not planted")
        with tempfile.TemporaryDirectory() as folder:
            page = pathlib.Path(folder) / "report.html"
            page.write_text(changed, encoding="utf-8")
            found, _ = check(page, page.with_suffix(".png"))
        return "\n".join(found)

    def assert_found(self, words, change):
        self.assertRegex(self.problems(change), words)

    def test_the_report_itself_has_no_problem(self):
        with tempfile.TemporaryDirectory() as folder:
            picture = pathlib.Path(folder) / "report.png"
            found, pictures = check(REPORT, picture)
            self.assertEqual(found, [])
            self.assertGreater(pictures, 0)
            self.assertTrue(picture.read_bytes().startswith(b"\x89PNG"))

    def test_a_console_error_is_found(self):
        script = "<script>console.error('planted')</script></body>"
        self.assert_found(
            "console has an error: planted",
            lambda text: POLICY.sub("", text).replace("</body>", script),
        )

    def test_an_exception_is_found(self):
        script = "<script>throw new Error('planted')</script></body>"
        self.assert_found(
            "an exception", lambda text: POLICY.sub("", text).replace("</body>", script)
        )

    def test_an_external_image_is_found_though_the_policy_stops_it(self):
        image = '<img src="https://example.com/planted.png" alt=""></body>'
        self.assert_found(
            "asks for https://example.com/planted.png",
            lambda text: text.replace("</body>", image),
        )

    def test_an_external_font_is_found(self):
        font = "@font-face { font-family: x; src: url(https://example.com/x.woff2) } h1 { font-family: x }\n</style>"
        self.assert_found(
            "asks for https://example.com/x.woff2",
            lambda text: text.replace("</style>", font, 1),
        )

    def test_a_file_beside_the_report_is_found(self):
        image = '<img src="beside.png" alt=""></body>'
        self.assert_found("asks for file:", lambda text: text.replace("</body>", image))

    def test_an_empty_picture_is_found(self):
        empty = '<svg role="img" width="10" height="10"><title>planted</title></svg></body>'
        self.assert_found(
            r"\(planted\) has nothing drawn", lambda text: text.replace("</body>", empty)
        )

    def test_a_picture_without_size_is_found(self):
        self.assert_found(
            "has no size",
            lambda text: text.replace("</style>", "svg.curve { display: none !important }</style>"),
        )

    def test_a_label_that_is_cut_off_is_found(self):
        cut = (
            '<svg role="img" width="40" height="20"><title>planted</title><rect width="9" height="9"/>'
            '<text x="30" y="12">far too long</text></svg></body>'
        )
        self.assert_found("is cut off", lambda text: text.replace("</body>", cut))

    def test_a_label_that_is_cut_off_in_what_opens_on_demand_is_found(self):
        cut = (
            '<details><svg role="img" width="40" height="20"><title>planted</title>'
            '<rect width="9" height="9"/><text x="30" y="12">far too long</text></svg></details></body>'
        )
        self.assert_found(r"\(planted\): .*cut off", lambda text: text.replace("</body>", cut))

    def test_a_number_wider_than_its_box_is_found(self):
        wide = (
            '<svg role="img" width="200" height="20"><title>planted</title><g>'
            '<rect class="part" x="50" width="12" height="15"/><text x="52" y="12">0.12345</text>'
            "</g></svg></body>"
        )
        self.assert_found("wider than its box", lambda text: text.replace("</body>", wide))

    def test_labels_that_overlap_are_found(self):
        both = (
            '<svg role="img" width="200" height="20"><title>planted</title><rect width="9" height="9"/>'
            '<text x="20" y="12">one label</text><text x="30" y="13">another</text></svg></body>'
        )
        self.assert_found("overlap", lambda text: text.replace("</body>", both))

    def test_a_page_wider_than_a_phone_is_found(self):
        wide = '<p style="width: 600px; max-width: none">planted</p></body>'
        self.assert_found(
            "390 px, light: the page is", lambda text: text.replace("</body>", wide)
        )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    REPORT = pathlib.Path(sys.argv.pop(1))
    unittest.main()
