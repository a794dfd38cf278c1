#include "runtime/residency/page_trace.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace tiara;
using residency::PageTrace;
using fault::Arrival;

namespace {

struct TraceFolder {
  TraceFolder() {
    char name[] = "/tmp/tiara-page-trace-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    folder = name;
  }
  ~TraceFolder() { std::filesystem::remove_all(folder); }
  std::string file() const { return folder + "/trace"; }
  std::string folder;
};

}  // namespace

TEST_CASE("a trace gives back what was recorded, in order") {
  const TraceFolder folder;
  REQUIRE(PageTrace::make_file(folder.file(), 100));
  {
    auto trace = *PageTrace::open(folder.file());
    REQUIRE(trace.is_recording());
    trace.record(PageNumber{5}, Arrival::kNew);
    trace.record(PageNumber{1 << 20}, Arrival::kFetched);
    trace.record(PageNumber{5}, Arrival::kTakenBack);
  }
  CHECK(*PageTrace::finish_file(folder.file()) == 0);
  CHECK(std::filesystem::file_size(folder.file()) == sizeof(PageTrace::Header) + 3 * 4);
  const auto records = *PageTrace::read_file(folder.file());
  REQUIRE(records.size() == 3);
  CHECK(records[1].page == PageNumber{1 << 20});
  CHECK(records[1].how == Arrival::kFetched);
  CHECK(records[2].how == Arrival::kTakenBack);
}

TEST_CASE("a trace that is full counts what it does not keep") {
  const TraceFolder folder;
  REQUIRE(PageTrace::make_file(folder.file(), 2));
  {
    auto trace = *PageTrace::open(folder.file());
    for (uint64_t page = 0; page < 5; ++page) trace.record(PageNumber{page}, Arrival::kNew);
  }
  CHECK(*PageTrace::finish_file(folder.file()) == 3);
  CHECK(PageTrace::read_file(folder.file())->size() == 2);
}

TEST_CASE("only the first process records into a trace") {
  const TraceFolder folder;
  REQUIRE(PageTrace::make_file(folder.file(), 2));
  const auto first = *PageTrace::open(folder.file());
  CHECK(first.is_recording());
  const auto second = *PageTrace::open(folder.file());
  CHECK_FALSE(second.is_recording());
}

TEST_CASE("a file that is no trace is refused") {
  const TraceFolder folder;
  std::ofstream(folder.file()) << "this is no trace, although it is long enough to have a header";
  const auto records = PageTrace::read_file(folder.file());
  REQUIRE_FALSE(records);
  CHECK(records.error().message.find("not a page trace") != std::string::npos);
  CHECK_FALSE(PageTrace::open(folder.file()));
  CHECK_FALSE(PageTrace::read_file(folder.folder + "/absent"));
}

TEST_CASE("a damaged record and a capacity beyond the file are refused") {
  const TraceFolder folder;
  REQUIRE(PageTrace::make_file(folder.file(), 4));
  const auto overwrite = [&](std::streamoff at, uint64_t value, std::streamsize size) {
    std::fstream file(folder.file(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file.write(reinterpret_cast<const char*>(&value), size);
  };
  overwrite(16, 1, 8);  // one record,
  overwrite(sizeof(PageTrace::Header), 3, 4);  // of an arrival that there is not
  CHECK_FALSE(PageTrace::read_file(folder.file()));
  overwrite(8, 1'000'000, 8);
  CHECK_FALSE(PageTrace::read_file(folder.file()));
}
