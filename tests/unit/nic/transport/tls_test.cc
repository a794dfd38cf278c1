// tcp:// over TLS: who is let in, who is not, and what it costs the fault path.
#include <random>

#include "nic/tls/near_memory.h"
#include "nic/transport/tcp_stream.h"
#include "nic/transport/tcp_target.h"
#include "tests/unit/nic/transport/proxy.h"
#include "tests/unit/nic/transport/test_node.h"

using namespace tiara;
using namespace tiara::nic;
using namespace tiara::nic::testing;
using namespace std::chrono_literals;

namespace {

// A node over TLS with these certificates.
struct TlsNode {
  explicit TlsNode(const TestCertificates& certificates) : node(make_node()) {
    ServerConfig config;
    config.workers = 1;
    config.tls_certificate = certificates.certificate_file();
    config.tls_key = certificates.key_file();
    auto serving = serve("tcp://127.0.0.1:0", *node, config);
    if (!serving) FAIL(serving.error().message);
    server = std::move(*serving);
  }
  Error refusal_of(const std::string& query) const {
    ConnectOptions options;
    options.node_timeout = 20s;
    const auto channel = nic::connect(server->url() + query, options);
    REQUIRE_FALSE(channel);
    CHECK(node->stats().sessions_opened == 0);  // nothing was said to it
    return channel.error();
  }
  std::shared_ptr<MemoryNode> node;
  std::unique_ptr<NodeServer> server;
};

bool contains(const Error& error, std::string_view text) { return error.message.find(text) != std::string::npos; }

// Records of both directions, as the two ends of one handshake have them.
struct Ends {
  Ends() {
    const TestCertificates& files = test_certificates();
    const auto node = *tls::Identity::of_node(files.certificate_file(), files.key_file());
    const auto client = *tls::Identity::of_client(files.authority_file(), "127.0.0.1");
    tls::Handshake theirs, ours;
    REQUIRE(theirs.begin(*node));
    REQUIRE(ours.begin(*client));
    std::vector<std::byte> to_client;
    tls::Handshake::Step step = tls::Handshake::Step::kMore;
    while (step == tls::Handshake::Step::kMore) {
      step = ours.advance(to_client);
      to_client.clear();
      std::array<std::byte, 8192> bytes;
      const size_t count = ours.take_output(bytes);
      const auto node_step = theirs.advance(std::span(bytes).first(count));
      REQUIRE(node_step != tls::Handshake::Step::kFailed);
      const size_t answer = theirs.take_output(bytes);
      to_client.assign(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(answer));
    }
    REQUIRE(step == tls::Handshake::Step::kDone);
    REQUIRE(ours.take_keys(client_records));
    REQUIRE(theirs.take_keys(node_records));
  }
  tls::Records client_records, node_records;
};

std::vector<std::byte> some_bytes(size_t size) {
  std::mt19937_64 random(size);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

}  // namespace

TEST_CASE("a certificate that no trusted authority signed, for another name, or expired is refused") {
  const TestCertificates others;
  const TestCertificates elsewhere("DNS:elsewhere.example,IP:127.0.0.2");
  const TestCertificates expired("IP:127.0.0.1", -1);
  CHECK(contains(TlsNode(test_certificates()).refusal_of(others.query()), "no TLS with it"));
  CHECK(contains(TlsNode(elsewhere).refusal_of(elsewhere.query()), "mismatch"));
  CHECK(contains(TlsNode(expired).refusal_of(expired.query()), "expired"));
  CHECK(TlsNode(expired).refusal_of(expired.query()).code == ErrorCode::kNoPermission);
}

TEST_CASE("a name that the address does not have can be asked for") {
  const TestCertificates elsewhere("DNS:elsewhere.example");
  const TlsNode node(elsewhere);
  CHECK(nic::connect(node.server->url() + elsewhere.query() + "&name=elsewhere.example", {}));
  CHECK_FALSE(nic::connect(node.server->url() + elsewhere.query() + "&name=elsewhere.exampl", {}));
}

TEST_CASE("without TLS on both sides nothing is said, and the line tells what to do") {
  const TlsNode secured(test_certificates());
  CHECK(contains(secured.refusal_of(""), "add ?tls=FILE"));
  const Link plain(Link::Kind::kTcp);
  const auto channel = nic::connect(plain.server().url() + test_certificates().query(), {});
  REQUIRE_FALSE(channel);
  CHECK(contains(channel.error(), "--tls-cert"));
  CHECK(plain.node().stats().sessions_opened == 0);
}

TEST_CASE("files that are not what they should be are named") {
  const TestCertificates& good = test_certificates();
  const TestCertificates other;
  const auto refused = [](const auto& result, std::string_view text) {
    REQUIRE_FALSE(result);
    CHECK(contains(result.error(), text));
  };
  refused(tls::Identity::of_node("/nowhere.pem", good.key_file()), "/nowhere.pem");
  refused(tls::Identity::of_node(good.key_file(), good.key_file()), "no certificate in PEM form");
  refused(tls::Identity::of_node(good.certificate_file(), good.certificate_file()), "no key in PEM form");
  refused(tls::Identity::of_node(good.certificate_file(), other.key_file()), "not the key");
  refused(tls::Identity::of_client(good.key_file(), "127.0.0.1"), "no certificate in PEM form");
  refused(tls::Identity::of_client("/nowhere.pem", "127.0.0.1"), "/nowhere.pem");
}

TEST_CASE("what stands behind an address is taken apart, and nothing is ignored") {
  CHECK(*parse_target("host:7") == TcpTarget{"host:7", "", ""});
  CHECK(*parse_target("host:7?tls=/a") == TcpTarget{"host:7", "/a", "host"});
  CHECK(*parse_target("[::1]:7?tls=/a&name=b") == TcpTarget{"[::1]:7", "/a", "b"});
  for (const auto* bad : {"host:7?", "host:7?tls=", "host:7?tls=a", "host:7?name=b", "host:7?tls=/a&x",
                          "host:7?tls=/a&name=", "host:7?TLS=/a"})
    CHECK_FALSE(parse_target(bad));
}

TEST_CASE("records carry bytes of any size, and neither sealing nor opening allocates") {
  Ends ends;
  for (const size_t size : {size_t{1}, size_t{4096}, tls::kMaxPlain, tls::kMaxPlain + 1, size_t{300'000}}) {
    const auto bytes = some_bytes(size);
    std::vector<std::byte> sealed(tls::sealed_bytes(size)), back;
    back.reserve(size);
    const uint64_t before = tls::near_allocations();
    REQUIRE(ends.client_records.sealer.seal(bytes, sealed) == sealed.size());
    for (auto rest = std::span(sealed); !rest.empty();) {
      size_t used = 0;
      std::span<const std::byte> plain;
      REQUIRE(ends.node_records.opener.open(rest.first(rest.size() - 1), used, plain) !=
              tls::Opener::Opened::kBroken);
      if (used == 0) REQUIRE(ends.node_records.opener.open(rest, used, plain) == tls::Opener::Opened::kData);
      back.insert(back.end(), plain.begin(), plain.end());
      rest = rest.subspan(used);
    }
    CHECK(tls::near_allocations() == before);
    CHECK(back == bytes);
  }
}

TEST_CASE("a record that was changed, replayed or left out is noticed") {
  const auto bytes = some_bytes(100);
  const auto open = [](Ends& ends, std::vector<std::byte> record) {
    size_t used = 0;
    std::span<const std::byte> plain;
    return ends.node_records.opener.open(record, used, plain);
  };
  for (size_t at = 0; at < tls::sealed_bytes(100); at += 3) {
    Ends ends;
    std::vector<std::byte> sealed(tls::sealed_bytes(100));
    REQUIRE(ends.client_records.sealer.seal(bytes, sealed) == sealed.size());
    sealed[at] ^= std::byte{1};
    CHECK(open(ends, sealed) != tls::Opener::Opened::kData);
  }
  Ends ends;
  std::vector<std::byte> first(tls::sealed_bytes(100)), second(tls::sealed_bytes(100));
  REQUIRE(ends.client_records.sealer.seal(bytes, first) == first.size());
  REQUIRE(ends.client_records.sealer.seal(bytes, second) == second.size());
  CHECK(open(ends, first) == tls::Opener::Opened::kData);
  CHECK(open(ends, first) == tls::Opener::Opened::kBroken);
  Ends others;
  REQUIRE(others.client_records.sealer.seal(bytes, first) == first.size());
  REQUIRE(others.client_records.sealer.seal(bytes, second) == second.size());
  CHECK(open(others, second) == tls::Opener::Opened::kBroken);
}

TEST_CASE("a key that is worn out seals and opens no more") {
  Ends ends;
  ends.client_records.sealer.limit_for_testing(1);
  const auto bytes = some_bytes(10);
  std::vector<std::byte> sealed(tls::sealed_bytes(10));
  CHECK(ends.client_records.sealer.seal(bytes, sealed) == sealed.size());
  CHECK(ends.client_records.sealer.seal(bytes, sealed) == 0);
}

TEST_CASE("what passes between a client and a node is readable over plain tcp, and over TLS it is not") {
  const auto kind = GENERATE(Link::Kind::kTcp, Link::Kind::kTls);
  const Link link(kind);
  Proxy proxy(link.server().url());
  const auto channel = nic::connect(proxy.url() + link.query(), {});
  REQUIRE(channel);
  const OperatorId echo_operator = operator_named(**channel, "echo");
  const AddressSpaceId space = *(*channel)->create_space(1);
  const auto bytes = some_bytes(5000);
  const std::array<std::span<const std::byte>, 1> parts{bytes};
  std::vector<std::byte> room(5000);
  proxy.record();
  REQUIRE((*channel)->call({echo_operator, space, {}, parts}, room).call == CallStatus::kAnswered);
  CHECK(room == bytes);
  CHECK(proxy.has_passed(std::span(bytes).first(64)) == (kind == Link::Kind::kTcp));
}
