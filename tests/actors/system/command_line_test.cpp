// What a user's own main gets from its command line and from a configuration file.
#include "system/command_line.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "support/temporary_folder.hpp"
#include "troupe/testing.hpp"

using namespace troupe;

namespace {

actors::CommandLine read(std::vector<const char*> arguments, std::vector<std::string_view> own = {}) {
  arguments.insert(arguments.begin(), "program");
  return actors::read_command_line(static_cast<int>(arguments.size()), arguments.data(), own);
}

/// The sentence with which the arguments are refused; empty: they are not.
std::string refusal(std::vector<const char*> arguments) {
  try {
    read(std::move(arguments));
  } catch (const Error& error) {
    CHECK(error == actors::Errc::bad_argument);
    return error.message();
  }
  return "";
}

void write(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("settings are taken from --name value and --name=value, the rest is the program's own") {
  const auto line = read({"input.txt", "--platform", "a5sim", "--chips=3", "--verbose", "--rate", "7",
                          "--device.workers=2", "--log-level", "info", "--trace=t.json"},
                         {"rate", "verbose"});
  CHECK(line.node.platform == "a5sim");
  CHECK(line.node.chips == 3);
  CHECK(line.node.device_options == std::vector<std::pair<std::string, std::string>>{{"workers", "2"}});
  CHECK(line.system.log_level == 3);
  CHECK(line.system.trace_file == "t.json");
  using Options = std::vector<std::pair<std::string, std::string>>;
  CHECK(read({"--checked", "--chips", "2"}).node.device_options == Options{{"checked", "1"}});
  CHECK(read({"--checked", "1"}).node.device_options == Options{{"checked", "1"}});  // the 1 is the program's
  CHECK(read({"--checked=0"}).node.device_options == Options{{"checked", "0"}});
  CHECK(read({}).node.chips == NodeConfig{}.chips);
  CHECK(read({"--", "--chips", "many"}).node.chips == NodeConfig{}.chips);
}

TEST_CASE("a configuration file gives the same settings, and the command line overrides it") {
  const test::TemporaryFolder folder;
  const auto file = folder / "node.conf";
  write(file,
        "# a node\n\n  platform = a5sim  \nchips=4\nsub-workers = 2\ndevice.memory_bytes = 1048576\r\n");
  const auto line = read({"--chips", "2", "--config", file.c_str()});
  CHECK(line.node.platform == "a5sim");
  CHECK(line.node.chips == 2);
  CHECK(line.node.sub_workers == 2);
  CHECK(line.node.device_options ==
        std::vector<std::pair<std::string, std::string>>{{"memory_bytes", "1048576"}});
}

TEST_CASE("a setting that is given twice in one place is refused by name") {
  CHECK(refusal({"--chips", "2", "--chips", "4"}) == "--chips: given twice");
  CHECK(refusal({"--chips=2", "x", "--chips=2"}) == "--chips: given twice");
  CHECK(refusal({"--checked", "--checked"}) == "--checked: given twice");
  CHECK(refusal({"--checked", "--device.checked=0"}) == "--device.checked: given twice");
  CHECK(refusal({"--device.workers=1", "--device.workers=2"}) == "--device.workers: given twice");
  CHECK(read({"--rate", "1", "--rate", "2"}, {"rate"}).node.chips == 1);  // the program's own
  const test::TemporaryFolder folder;
  const auto file = folder / "node.conf";
  write(file, "chips = 2\nchips = 3\n");
  CHECK(refusal({"--config", file.c_str()}) == file + ":2: \"chips\" is given twice");
  write(file, "device.checked = 1\n");
  CHECK(refusal({"--config", file.c_str(), "--config", file.c_str()}) == "--config: given twice");
  CHECK(read({"--config", file.c_str(), "--checked=0"}).node.device_options ==
        std::vector<std::pair<std::string, std::string>>{{"checked", "0"}});
}

TEST_CASE("what cannot be meant is refused with the place where it stands") {
  CHECK(refusal({"--chips", "two"}) == "--chips: \"two\" is not a number from 0 to 16384");
  CHECK(refusal({"--chips", "-1"}) == "--chips: \"-1\" is not a number from 0 to 16384");
  CHECK(refusal({"--credit=0"}) == "--credit: \"0\" is not a number from 1 to 65536");
  CHECK(refusal({"--checked=yes"}) == "--checked: \"yes\" is neither 0 nor 1");
  CHECK(refusal({"--chips"}) == "--chips: a value is missing");
  CHECK(refusal({"--log-level", "loud"}) == "--log-level: \"loud\" is not a log level");
  CHECK(refusal({"--config", "/no/such/file"}) ==
        "configuration file /no/such/file: No such file or directory");
  const test::TemporaryFolder folder;
  CHECK(refusal({"--config", folder.path().c_str()}).starts_with("configuration file "));
  CHECK(refusal({"--config", "/dev/zero"}) == "configuration file /dev/zero: a device, not a file");
  CHECK(read({"--config", "/dev/null"}).node.chips == NodeConfig{}.chips);
  write(folder / "long.conf", std::string((1 << 20) + 1, '\n'));
  const auto long_file = folder / "long.conf";
  CHECK(refusal({"--config", long_file.c_str()}) ==
        "configuration file " + long_file + ": more than 1 MiB, which is the most that is read");
  const auto file = folder / "wrong.conf";
  write(file, "chips = 2\nchip = 3\n");
  CHECK(refusal({"--config", file.c_str()}) == file + ":2: \"chip\" is not a setting");
  write(file, "chips 2\n");
  CHECK(refusal({"--config", file.c_str()}) == file + ":1: not of the form name = value");
  write(file, "threads = x\n");
  CHECK(refusal({"--config", file.c_str()}) == file + ":1: \"x\" is not a number from 0 to 4096");
}

TEST_CASE("a system that was given a trace file writes it when it ends") {
  const test::TemporaryFolder folder;
  const auto file = folder / "trace.json";
  std::string program = "program", option = "--trace=" + file, threads = "--threads=1";
  char* arguments[] = {program.data(), option.data(), threads.data()};
  {
    System system(3, arguments);
    CHECK(contents(file).find("troupe") !=
          std::string::npos);  // one that is killed leaves what can be opened
    system.node({.chips = 0}).run([](Orchestrator& node) {
      node.submit_sub([](runtime::HostArgs&) {}, name("the_only_one"));
    });
  }
  CHECK(contents(file).find("the_only_one") != std::string::npos);
  CHECK_THROWS_WITH_AS(System(SystemConfig{.trace_file = folder / "no/such/folder/t.json"}),
                       doctest::Contains("No such file or directory"), Error);
}
