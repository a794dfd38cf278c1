// What tests of the NIC on a network of their own have in common: namespaces, devices, a client's socket. All of it
// ends with the processes.
#pragma once

#include <string>

#include "nic/wire/ethernet.h"

namespace tiara::nic::rtl {

inline constexpr wire::NetworkAddress kNicAtVeth{0x02746e696301, 0x0a4d0001, 4791};     // 10.77.0.1
inline constexpr wire::NetworkAddress kClientAtVeth{0x02746e696302, 0x0a4d0002, 4792};  // 10.77.0.2

// With what errno says, and exit status 77.
[[noreturn]] void skip(const char* what);
[[noreturn]] void die(const char* what);
void must_run(const std::string& command);

// Gives this namespace's device the client's address, the way to the NIC, and an MTU for whole pages; then a UDP socket
// that is connected to the NIC.
int open_client_socket(const std::string& device);

}  // namespace tiara::nic::rtl
