#include "command/parameters.hpp"

#include <doctest/doctest.h>

#include <bit>

#include "errc.hpp"

namespace {

using namespace troupe::apps;

const Parameter known[] = {{"size", "16", ""}, {"rate", "0.5", ""}};

std::string problem(std::string_view signature, std::span<const Parameter> names,
                    const std::vector<std::string>& given) {
  const auto words = bind_parameters("train", signature, names, given);
  REQUIRE_FALSE(words);
  CHECK(words.error() == Errc::bad_parameter);
  CHECK(words.error().message().starts_with("program \"train\" "));
  return words.error().message() + " / " + words.error().hint();
}

TEST_CASE("named parameters have defaults and take their program's types") {
  const auto defaults = bind_parameters("p", "u32,f32", known, {}).value();
  CHECK(defaults == std::vector<std::uint64_t>{16, std::bit_cast<std::uint32_t>(0.5f)});
  const auto given = bind_parameters("p", "u32,f32", known, {"rate=-1e-6", "size=7"}).value();
  CHECK(given == std::vector<std::uint64_t>{7, std::bit_cast<std::uint32_t>(-1e-6f)});
}

TEST_CASE("parameters without names go by position") {
  const auto words = bind_parameters("p", "i32,bool,f64", {}, {"2=2.5", "0=-3", "1=true"}).value();
  REQUIRE(words.size() == 3);
  CHECK(static_cast<std::int32_t>(words[0]) == -3);
  CHECK(words[1] == 1);
  CHECK(words[2] == std::bit_cast<std::uint64_t>(2.5));
  CHECK(bind_parameters("p", "", {}, {}).value().empty());
}

TEST_CASE("what does not fit is told with what would") {
  CHECK(problem("u32,f32", known, {"colour=1"}).find("no parameter \"colour\" / it takes: size (u32") !=
        std::string::npos);
  CHECK(problem("u32,f32", known, {"size=1", "size=2"}).find("twice") != std::string::npos);
  CHECK(problem("u32,f32", known, {"size"}).find("not name=value") != std::string::npos);
  CHECK(problem("u32,f32", known, {"=3"}).find("not name=value") != std::string::npos);
  for (const char* value :
       {"size=", "size=x", "size=-1", "size=1.5", "size=4294967296", "size=1 ", "rate=fast"}) {
    CAPTURE(value);
    CHECK(problem("u32,f32", known, {value}).find("cannot take") != std::string::npos);
  }
  CHECK(problem("u32", {}, {}).find("needs its parameter \"0\"") != std::string::npos);
  CHECK(problem("tensor", {}, {}).find("wants a tensor") != std::string::npos);
  CHECK(problem("", {}, {"a=1"}).find("leave --param away") != std::string::npos);
}

}  // namespace
