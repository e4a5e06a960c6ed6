#include "troupe/runtime/thrown.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>

#include <new>
#include <stdexcept>

using troupe::runtime::text_of;

TEST_CASE("what was thrown is told in words, memory that could not be had with the limit") {
  CHECK(text_of(std::runtime_error("the disk was busy")) == "the disk was busy");
  CHECK(text_of(std::make_exception_ptr(std::runtime_error("kept"))) == "kept");
  CHECK(text_of(std::make_exception_ptr(7)) == "something that is no std::exception");
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  rlimit wide = before;  // a limit that nobody meets
  wide.rlim_cur = rlim_t{1} << 55U;
  REQUIRE(setrlimit(RLIMIT_AS, &wide) == 0);
  const auto said = text_of(std::bad_alloc());
  REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
  CHECK(said == "there is no more memory (this process has 34359738368 MiB of addresses: ulimit -v)");
  CHECK(text_of(std::make_exception_ptr(std::bad_array_new_length())).starts_with("there is no more memory"));
}
