#include "nic/transport/tcp_target.h"

namespace tiara::nic {

Result<TcpTarget> parse_target(std::string_view text) {
  TcpTarget target;
  const size_t mark = text.find('?');
  target.host_port = text.substr(0, mark);
  if (mark == std::string_view::npos) return target;
  std::string_view host = std::string_view(target.host_port).substr(0, target.host_port.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  target.name = host;
  std::string_view rest = text.substr(mark + 1);
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view option = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    constexpr std::string_view kTls = "tls=", kName = "name=";
    if (option.starts_with(kTls)) {
      target.authorities = option.substr(kTls.size());
    } else if (option.starts_with(kName) && option.size() > kName.size()) {
      target.name = option.substr(kName.size());
    } else {
      return fail(ErrorCode::kInvalidInput, "\"" + std::string(option) +
                                                "\" is no option of a tcp:// address; write ?tls=/etc/tiara/ca.pem, "
                                                "and &name=NAME if the certificate bears another name");
    }
  }
  if (!target.authorities.starts_with('/'))
    return fail(ErrorCode::kInvalidInput, "?tls=" + target.authorities +
                                              " is no whole path; write that of a file of certificates to trust, as in "
                                              "?tls=/etc/tiara/ca.pem");
  return target;
}

}  // namespace tiara::nic
