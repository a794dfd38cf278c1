#include "apps/memcached/connection.h"

#include <catch2/catch.hpp>
#include <cstring>

namespace tiara::apps::memcached {
namespace {

constexpr uint32_t kSize = 100;

void feed(Connection& connection, std::string_view bytes) {
  const auto room = connection.input_room();
  REQUIRE(room.size() >= bytes.size());
  memcpy(room.data(), bytes.data(), bytes.size());
  connection.received(bytes.size());
}

std::string value_of(uint64_t key, uint32_t version) {
  std::string value(kSize, '\0');
  make_value(key, version, value);
  return value;
}

}  // namespace

TEST_CASE("requests are written as each protocol wants them") {
  Connection meta(Protocol::kMeta, kSize), text(Protocol::kText, kSize);
  meta.send_get(7, 0, 0);
  text.send_get(7, 0, 0);
  const auto written = [](Connection& connection) {
    return std::string(connection.output().begin(), connection.output().end());
  };
  CHECK(written(meta) == "mg tiara:0000000007 v\r\n");
  CHECK(written(text) == "get tiara:0000000007\r\n");
  meta.wrote(meta.output().size());
  meta.send_set(7, 1, 0);
  CHECK(written(meta) == "ms tiara:0000000007 100\r\n" + value_of(7, 1) + "\r\n");
}

TEST_CASE("an answer may arrive byte by byte, and values may contain line ends") {
  for (const Protocol protocol : {Protocol::kMeta, Protocol::kText}) {
    Connection connection(protocol, kSize);
    connection.send_get(3, 0, 0);
    std::string value = value_of(3, 1);
    value.replace(50, 2, "\r\n");
    const std::string answer = protocol == Protocol::kMeta
                                   ? "VA 100\r\n" + value + "\r\n"
                                   : "VALUE tiara:0000000003 0 100\r\n" + value + "\r\nEND\r\n";
    Completion completion;
    for (size_t i = 0; i + 1 < answer.size(); ++i) {
      feed(connection, answer.substr(i, 1));
      REQUIRE(connection.next(completion) == Connection::Parse::kNeedMore);
    }
    feed(connection, answer.substr(answer.size() - 1));
    REQUIRE(connection.next(completion) == Connection::Parse::kCompletion);
    CHECK(completion.answer == Answer::kHit);
    CHECK(std::string(completion.value.begin(), completion.value.end()) == value);
    CHECK(connection.outstanding() == 0);
  }
}

TEST_CASE("answers are matched to requests in order") {
  Connection connection(Protocol::kMeta, kSize);
  connection.send_set(1, 5, 10);
  connection.send_get(2, 0, 20);
  connection.send_set(3, 6, 30);
  feed(connection, "HD\r\nEN\r\nSERVER_ERROR out of memory storing object\r\n");
  Completion completion;
  REQUIRE(connection.next(completion) == Connection::Parse::kCompletion);
  CHECK(completion.answer == Answer::kStored);
  CHECK(completion.request.key == 1);
  REQUIRE(connection.next(completion) == Connection::Parse::kCompletion);
  CHECK(completion.answer == Answer::kMiss);
  CHECK(completion.request.sent_ns == 20);
  REQUIRE(connection.next(completion) == Connection::Parse::kCompletion);
  CHECK(completion.answer == Answer::kRefused);
  CHECK(completion.text == "SERVER_ERROR out of memory storing object");
  CHECK(connection.next(completion) == Connection::Parse::kNeedMore);
}

TEST_CASE("what the protocol does not allow is an error") {
  const std::string bad_answers[] = {"VA 99999999999999999999\r\n",
                                     "VA -1\r\n",
                                     "VA\r\n",
                                     "VA 100x\r\n",
                                     "ERROR\r\n",
                                     "\r\n",
                                     std::string(600, 'x'),
                                     "VA 2\r\nabcd\r\n"};
  for (const auto& answer : bad_answers) {
    Connection connection(Protocol::kMeta, kSize);
    connection.send_get(1, 0, 0);
    feed(connection, answer);
    Completion completion;
    INFO(answer);
    CHECK(connection.next(completion) == Connection::Parse::kProtocolError);
    CHECK_FALSE(connection.error().empty());
  }
  Connection connection(Protocol::kMeta, kSize);
  feed(connection, "HD\r\n");  // nobody asked
  Completion completion;
  CHECK(connection.next(completion) == Connection::Parse::kProtocolError);
}

TEST_CASE("a value of another length is passed on to be judged") {
  Connection connection(Protocol::kMeta, kSize);
  connection.send_get(1, 0, 0);
  feed(connection, "VA 3\r\nabc\r\n");
  Completion completion;
  REQUIRE(connection.next(completion) == Connection::Parse::kCompletion);
  CHECK(completion.value.size() == 3);
}

}  // namespace tiara::apps::memcached
