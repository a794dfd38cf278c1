// stdio with far buffers and strings.
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>
#include <unistd.h>

#include "tests/preload/far.h"

namespace {

struct Stream {
  FILE* file = tmpfile();
  ~Stream() { fclose(file); }
};

}  // namespace

TEST_CASE("Large and small items are written and read") {
  for (size_t size : {100u, 5000u, 300'000u, 12'000'000u}) {
    Stream stream;
    far::Block out(size, 1);
    far::Block in(size, 2);
    REQUIRE(fwrite(out.data(), 1, size, stream.file) == size);
    rewind(stream.file);
    REQUIRE(fread(in.data(), 10, size / 10, stream.file) == size / 10);
    CHECK(in.holds(1, size / 10 * 10));
    CHECK(fread(in.data(), 1, size, stream.file) == size % 10);
    CHECK(feof(stream.file));
  }
}

TEST_CASE("Far strings of every length are printed") {
  for (size_t length : {10u, 2000u, 50'000u, 3'000'000u}) {
    Stream stream;
    far::Text text(std::string(length, 'q'));
    REQUIRE(fputs(text.get(), stream.file) >= 0);
    REQUIRE(fprintf(stream.file, "%d %s %5.1f %s|", 7, text.get(), 2.5, "near") == static_cast<int>(length) + 14);
    rewind(stream.file);
    std::string back(2 * length + 14, 0);
    REQUIRE(fread(back.data(), 1, back.size() + 1, stream.file) == back.size());
    CHECK(back == std::string(length, 'q') + "7 " + std::string(length, 'q') + "   2.5 near|");
  }
}

TEST_CASE("Lines are read into far buffers, and streams use far buffers of the program's") {
  Stream stream;
  far::Block buffer(64 * 1024);
  REQUIRE(setvbuf(stream.file, buffer.data(), _IOFBF, buffer.size()) == 0);
  for (int i = 0; i < 50'000; ++i) fprintf(stream.file, "line %d\n", i);
  rewind(stream.file);
  char* line = nullptr;
  size_t room = 0;
  for (int i = 0; i < 50'000; ++i) {
    REQUIRE(getline(&line, &room, stream.file) > 0);
    REQUIRE(std::string(line) == "line " + std::to_string(i) + "\n");
  }
  free(line);
}
