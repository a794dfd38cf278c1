// What `tiara doctor` says about RDMA: which devices there are, and the addresses that rdma:// can use.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "apps/common/machine_checks.h"

namespace tiara::apps {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> entries(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string addresses_of(const std::string& interface) {
  std::string text;
  ifaddrs* all = nullptr;
  if (getifaddrs(&all) != 0) return text;
  for (const ifaddrs* each = all; each != nullptr; each = each->ifa_next) {
    if (each->ifa_name != interface || each->ifa_addr == nullptr || each->ifa_addr->sa_family != AF_INET) continue;
    char name[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr, name, sizeof name);
    text += text.empty() ? name : fmt::format(", {}", name);
  }
  freeifaddrs(all);
  return text;
}

// "eth9: 10.9.0.1", of all ports; empty when none of them has an address.
std::string interfaces_of(const fs::path& device) {
  std::set<std::string> names;
  for (const fs::path& port : entries(device / "ports"))
    for (const fs::path& index : entries(port / "gid_attrs" / "ndevs"))
      if (const std::string name = first_line(index); !name.empty()) names.insert(name);
  std::string text;
  for (const std::string& name : names)
    if (const std::string addresses = addresses_of(name); !addresses.empty())
      text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", name, addresses);
  return text;
}

}  // namespace

void check_rdma(Findings& findings) {
#ifndef TIARA_HAS_RDMA
  findings.push_back({"network", "RDMA", Verdict::kNote, "this tiara was built without it: rdma:// cannot be used",
                      "install libibverbs-dev and librdmacm-dev and build it again"});
  return;
#endif
  const auto devices = entries("/sys/class/infiniband");
  if (devices.empty()) {
    findings.push_back({"network", "RDMA", Verdict::kNote, "no device: rdma:// cannot be used",
                        "load the device's driver; without a device: modprobe rdma_rxe, rdma link add rxe0 type rxe "
                        "netdev INTERFACE"});
    return;
  }
  for (const fs::path& device : devices) {
    const std::string name = device.filename(), interfaces = interfaces_of(device);
    const std::string state = first_line(device / "ports" / "1" / "state");
    if (interfaces.empty())
      findings.push_back({"network", "RDMA", Verdict::kNote,
                          fmt::format("{}: port {}, no address: rdma:// cannot name it", name, state),
                          "give its network interface an address"});
    else
      findings.push_back({"network", "RDMA", Verdict::kGood,
                          fmt::format("{} ({}), port {}; what rdma:// registers is locked memory", name, interfaces,
                                      state),
                          ""});
  }
}

}  // namespace tiara::apps
