// Whole Ethernet frames through a network device that exists: a TAP device's other side, or a packet socket on any
// other (a veth end, a port of this machine). See packet(7) and the kernel's networking/tuntap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "runtime/base/error.h"
#include "runtime/os/clock.h"
#include "runtime/os/unique_fd.h"

namespace tiara::apps {

class EthernetDevice {
 public:
  // The device must exist, be up, and carry frames of `frame_bytes` (Ethernet's 14 included). kNoPermission: not
  // allowed here; kNotFound: no such device; kInvalidInput: it is down, or carries only shorter ones.
  static Result<EthernetDevice> open(const std::string& name, size_t frame_bytes);

  // The next frame, cut off at `room`, which it is the caller's to notice; none when there is none now. Frames that
  // this machine sends through the device are left out, but for a TAP device, whose they all are.
  std::optional<size_t> receive(std::span<std::byte> room) noexcept;
  // False: the device takes none now, or the frame is not one. It is lost, as on any network.
  bool send(std::span<const std::byte> frame) noexcept;
  // Until a frame is there, or for `most`.
  void wait(os::Nanoseconds most) const noexcept;

  bool is_tap() const noexcept { return is_tap_; }

 private:
  EthernetDevice(UniqueFd fd, bool is_tap) noexcept : fd_(std::move(fd)), is_tap_(is_tap) {}
  UniqueFd fd_;
  bool is_tap_;
};

}  // namespace tiara::apps
