// What `tiara doctor` found out: one line each, with what to do about it.
#pragma once

#include <string>
#include <vector>

namespace tiara::apps {

enum class Verdict {
  kGood,
  kNote,     // works, but worth knowing
  kMissing,  // something is slower or cannot be had without it
  kBlocks,   // far memory cannot work until this is changed
};

struct Finding {
  std::string section;  // "kernel", "privileges", "limits", "network", "program"
  std::string name;
  Verdict verdict = Verdict::kGood;
  std::string text;  // what was found, in plain words
  std::string cure;  // what to do; empty when nothing is to be done
};

using Findings = std::vector<Finding>;

bool blocks(const Findings& findings);
std::string to_text(const Findings& findings);
std::string to_json_text(const Findings& findings);  // {"works", "findings": [...]}

}  // namespace tiara::apps
