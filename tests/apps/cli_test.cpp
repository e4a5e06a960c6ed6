#include "command/cli.hpp"

#include <doctest/doctest.h>

namespace {

using namespace troupe::apps;

template <class C>
C parsed(const std::vector<std::string>& arguments) {
  CommandLine line = parse_command_line(arguments);
  CAPTURE(line.text);
  REQUIRE(line.command);
  REQUIRE(std::holds_alternative<C>(*line.command));
  return std::get<C>(*line.command);
}

TEST_CASE("options of run arrive, and common options stand before or after the command") {
  const auto run = parsed<RunCommand>({"run", "allreduce", "--chips", "4", "--param", "a=1", "--param",
                                       "b=x=y", "--platform", "a5sim", "--trace", "t.json", "--runs", "3"});
  CHECK(run.program == "allreduce");
  CHECK(run.chips == 4);
  CHECK(run.nodes == 0);
  CHECK(run.runs == 3);
  CHECK(run.parameters == std::vector<std::string>{"a=1", "b=x=y"});
  CHECK(run.platform == "a5sim");
  CHECK(run.trace == "t.json");
  CHECK(parse_command_line({"--log-level", "debug", "list"}).log_level == 4);
  CHECK(parse_command_line({"list", "--log-level", "error"}).log_level == 1);
  CHECK(parse_command_line({"trace", "summary", "f", "--log-level=info"}).log_level == 3);
  CHECK(parse_command_line({"list"}).log_level == 2);
}

TEST_CASE("the other commands arrive with what they were given") {
  CHECK(parsed<ListCommand>({"list", "a.so", "b.so"}).modules.size() == 2);
  CHECK(parsed<DevicesCommand>({"devices"}).platforms.empty());
  const auto scenes = parsed<ScenesCommand>(
      {"scenes", "--case", "vector", "--case", "a::b", "--devices", "3", "--timeout", "9"});
  CHECK(scenes.cases == std::vector<std::string>{"vector", "a::b"});
  CHECK(scenes.devices == 3);
  CHECK(parsed<ScenesCommand>({"scenes", "m.so", "--platform", "p,q"}).platforms.size() == 2);
  CHECK(scenes.timeout_seconds == 9);
  parsed<VersionCommand>({"version"});
  CHECK(parsed<TraceSummaryCommand>({"trace", "summary", "x"}).file == "x");
  CHECK(parsed<TraceHtmlCommand>({"trace", "html", "x"}).file == "x");
  CHECK(parsed<TraceGraphCommand>({"trace", "graph", "x", "y.dot"}).output == "y.dot");
  CHECK(parsed<TraceSwimlaneCommand>({"trace", "swimlane", "x", "y"}).output == "y");
  const auto dump = parsed<DumpCommand>({"dump", "d", "--arg", "2", "--stage", "after", "--values"});
  CHECK(dump.filter.argument == 2);
  CHECK(dump.filter.stage == "after");
  CHECK_FALSE(dump.filter.index);
  CHECK(dump.values);
}

TEST_CASE("help is help: on request, with exit code 0, for every command") {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"--help"},
                                                    {"-h"},
                                                    {"run", "--help"},
                                                    {"list", "-h"},
                                                    {"devices", "--help"},
                                                    {"scenes", "--help"},
                                                    {"version", "--help"},
                                                    {"trace", "--help"},
                                                    {"trace", "html", "--help"},
                                                    {"--log-level", "info", "trace", "--help"},
                                                    {"dump", "--help"}}) {
    const CommandLine line = parse_command_line(arguments);
    CAPTURE(line.text);
    CHECK_FALSE(line.command);
    CHECK(line.exit == exit_ok);
    CHECK(line.text.find("Usage: troupe") != std::string::npos);
  }
  CHECK(parse_command_line({"--version"}).text == std::string("troupe ") + version() + "\n");
}

TEST_CASE("a wrong command line is a sentence, a hint and exit code 2") {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{},
                                                    {"nonsense"},
                                                    {"nonsense", "--help"},
                                                    {"--log-level", "info", "nonsense", "--help"},
                                                    {"trace", "nonsense", "--help"},
                                                    {"run"},
                                                    {"run", "x", "--chips"},
                                                    {"run", "x", "--chips", "0"},
                                                    {"run", "x", "--chips", "-1"},
                                                    {"run", "x", "--chips", "many"},
                                                    {"run", "x", "--chips", "99999999999999999999"},
                                                    {"run", "x", "--runs", "0"},
                                                    {"run", "x", "y"},
                                                    {"run", "x", "--no-such-option"},
                                                    {"trace"},
                                                    {"trace", "nonsense"},
                                                    {"trace", "summary"},
                                                    {"dump"},
                                                    {"dump", "d", "--stage", "during"},
                                                    {"dump", "d", "--arg", "x"},
                                                    {"list", "--log-level", "loud"},
                                                    {"list", "--log-level"}}) {
    std::string given = "troupe";
    for (const auto& argument : arguments) given += " " + argument;
    CAPTURE(given);
    const CommandLine line = parse_command_line(arguments);
    CAPTURE(line.text);
    CHECK_FALSE(line.command);
    CHECK(line.exit == exit_usage);
    CHECK(line.text.starts_with("troupe: "));
    CHECK(line.text.find("--help") != std::string::npos);
    CHECK(line.text.size() > 30);
  }
}

}  // namespace
