#!/usr/bin/env python3
"""Each check of tidy.py is shown a small bad tree, which it must refuse, and a good one, which it must pass."""
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import tidy  # noqa: E402


def findings(check, files, executable=()):
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = Path(folder) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if name in executable:
                path.chmod(0o755)
        return list(tidy.CHECKS[check](tidy.Tree(folder)))


class TidyTest(unittest.TestCase):
    def assert_refused(self, check, files, needle):
        found = findings(check, files)
        self.assertTrue(any(needle in f for f in found), f"{check} did not find {needle!r} in {found}")

    def assert_passes(self, check, files, executable=()):
        self.assertEqual(findings(check, files, executable), [])

    def test_an_include_that_points_up_is_refused(self):
        self.assert_refused("layers", {"runtime/base/a.h": '#include "apps/b.h"\n'}, "stands above runtime/base")
        self.assert_refused("layers", {"nic/asm/a.h": '#include "nic/verifier/b.h"\n'}, "side by side")
        self.assert_passes("layers", {"pagetable/a.h": '#include "nic/isa/b.h"\n#include "pagetable/c.h"\n'})

    def test_a_foreign_header_outside_its_owner_is_refused(self):
        self.assert_refused("owners", {"apps/a.cc": "#include <jemalloc/jemalloc.h>\n"}, "belongs to runtime/placement")
        self.assert_passes("owners", {"runtime/placement/a.cc": "#include <jemalloc/jemalloc.h>\n"})

    def test_a_long_file_and_a_long_line_are_refused(self):
        self.assert_refused("sizes", {"apps/a.cc": "\n" * 801}, "801 lines")
        self.assert_refused("sizes", {"apps/a.cc": "x" * 121 + "\n"}, "121 columns")
        self.assert_passes("sizes", {"apps/a.cc": "x" * 120 + "\n"})

    def test_a_header_without_guard_or_purpose_is_refused(self):
        self.assert_refused("headers", {"apps/a.h": "// Purpose.\nint x;\n"}, "#pragma once")
        self.assert_refused("headers", {"apps/a.h": "#pragma once\n"}, "what it is for")
        self.assert_passes("headers", {"apps/a.h": "// Purpose.\n#pragma once\n"})

    def test_exceptions_in_the_runtime_are_refused(self):
        self.assert_refused("exceptions", {"nic/a.cc": "void f() { try { } catch (...) { } }\n"}, "exceptions")
        self.assert_refused("exceptions", {"runtime/a.cc": "auto* x = dynamic_cast<B*>(y);\n"}, "RTTI")
        self.assert_passes("exceptions", {"apps/a.cc": "void f() { try { } catch (...) { } }\n",
                                          "nic/b.cc": "// we try (hard) to avoid it\nint try_lock();\n"})

    def test_missing_work_and_empty_names_are_refused(self):
        self.assert_refused("smells", {"nic/a.cc": "// TODO later\n"}, "work is missing")
        self.assert_refused("smells", {"nic/utils.cc": "\n"}, "says nothing")
        self.assert_refused("smells", {"tests/a_test.cc": "std::this_thread::sleep_for(1s);\n"}, "must say why")
        self.assert_passes("smells", {"tests/a_test.cc": "sleep_for(1s);  // sleep: lets the peer time out\n"})

    def test_a_default_in_an_enum_switch_is_refused(self):
        bad = "switch (x) {\n case Status::kOk: return 1;\n default: return 2;\n}\n"
        self.assert_refused("switch_default", {"nic/a.cc": bad}, "default in an enum switch")
        self.assert_passes("switch_default", {"nic/a.cc": "switch (x) {\n case 1: return 1;\n default: return 2;\n}\n"})

    def test_dead_paths_and_links_in_documents_are_refused(self):
        self.assert_refused("paths_in_docs", {"docs/a.md": "see `nic/gone.h`\n", "nic/b.h": ""}, "does not exist")
        self.assert_refused("links_in_docs", {"README.md": "[x](docs/gone.md)\n"}, "does not exist")
        self.assert_passes("paths_in_docs", {"docs/a.md": "see `nic/b.h`, `nic/`\n", "nic/b.h": ""})
        self.assert_passes("links_in_docs", {"README.md": "[x](docs/a.md) [y](https://example.org)\n", "docs/a.md": ""})

    def test_undocumented_counters_options_and_variables_are_refused(self):
        self.assert_refused("statistics_documented",
                            {"runtime/base/stats.h": '  X(faults_new, "faults", "m")\n', "docs/operating.md": ""},
                            "`faults_new`")
        self.assert_refused("options_documented",
                            {"apps/tiara/run.cc": 'app.add_option("-x,--frob", value);\n', "docs/operating.md": ""},
                            "`--frob`")
        self.assert_refused("variables_documented",
                            {"runtime/base/config.cc": '"TIARA_NEW"', "docs/operating.md": ""}, "TIARA_NEW")
        self.assert_passes("options_documented",
                           {"apps/tiara/run.cc": 'app.add_flag("--frob", value);\n', "docs/operating.md": "`--frob`"})

    def test_a_script_that_goes_on_after_an_error_is_refused(self):
        self.assert_refused("shell", {"scripts/a": "#!/bin/sh\necho\n"}, "set -e")
        self.assert_refused("shell", {"scripts/a": "#!/bin/sh\nset -e\n"}, "not executable")
        self.assert_passes("shell", {"scripts/a": "#!/bin/sh\nset -e\n"}, executable=("scripts/a",))

    def test_every_check_has_a_test(self):
        tested = Path(__file__).read_text()
        for name in tidy.CHECKS:
            if name == "self_contained":  # needs a compiler and a build folder; the tidy run itself exercises it
                continue
            self.assertIn(f'"{name}"', tested)


if __name__ == "__main__":
    unittest.main()
