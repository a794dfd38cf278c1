#include "nic/verifier/rejection.h"

namespace tiara::nic {

std::string_view to_string(Requirement requirement) {
  switch (requirement) {
#define TIARA_REQUIREMENT(name, text) \
  case Requirement::k##name: return #name;
    TIARA_REQUIREMENTS(TIARA_REQUIREMENT)
#undef TIARA_REQUIREMENT
  }
  return "";
}

std::string_view violation(Requirement requirement) {
  switch (requirement) {
#define TIARA_REQUIREMENT(name, text) \
  case Requirement::k##name: return text;
    TIARA_REQUIREMENTS(TIARA_REQUIREMENT)
#undef TIARA_REQUIREMENT
  }
  return "";
}

std::string to_string(const Rejection& rejection, std::string_view instruction_text) {
  std::string out = "instruction " + std::to_string(rejection.instruction);
  if (!instruction_text.empty()) out += " (" + std::string(instruction_text) + ")";
  out += ": " + std::string(violation(rejection.requirement));
  for (const std::string* part : {&rejection.detail, &rejection.state, &rejection.cure}) {
    if (!part->empty()) out += (part == &rejection.detail ? ": " : "; ") + *part;
  }
  return out;
}

}  // namespace tiara::nic
