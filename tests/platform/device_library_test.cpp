#include "troupe/platform/device_library.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "support/built.hpp"
#include "troupe/platform/child_processes.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host_threads.hpp"

using namespace troupe;
using namespace troupe::platform;

namespace {
const std::string platforms = tests::built("tests/platform/platforms");

struct Said {
  std::string text;
  ChildEnd end;
};
Said conformance(std::vector<std::string> arguments) {
  Said said;
  arguments.insert(arguments.begin(), tests::built("bin/troupe-conformance"));
  ChildProcesses children;
  children
      .start({std::move(arguments), std::chrono::seconds{200},
              [&](std::string_view line) { said.text += std::string{line} + "\n"; },
              [&](const ChildEnd& end) { said.end = end; }})
      .value();
  children.run();
  return said;
}
}  // namespace

TEST_CASE("a platform library is loaded by path, and its contexts work") {
  const auto library = DeviceLibrary::open(platforms + "/libtroupe_scripted.so").value();
  CHECK(library.abi_version() == TROUPE_DEVICE_ABI_VERSION);
  auto context = DeviceContext::create(library.api(), std::make_shared<HostThreads>()).value();
  context.set_device(0).value();
  CHECK(context.malloc(64).value() != 0);
  context.close().value();
}

TEST_CASE("a platform is found by name in TROUPE_PLATFORM_PATH") {
  setenv("TROUPE_PLATFORM_PATH", ("/no/such/place:" + platforms).c_str(), 1);
  const auto library = DeviceLibrary::open("scripted");
  unsetenv("TROUPE_PLATFORM_PATH");
  REQUIRE(library);
  CHECK(library->path() == platforms + "/libtroupe_scripted.so");
  const auto missing = DeviceLibrary::open("no_such_platform");
  REQUIRE(!missing);
  CHECK(missing.error() == Errc::load_failed);
  CHECK(missing.error().message().find("libtroupe_no_such_platform.so") != std::string::npos);
}

TEST_CASE("a library that is no platform is refused with its name and what is wrong") {
  const auto refusal = [](const std::string& path) { return DeviceLibrary::open(path).error(); };
  SUBCASE("no such file") {
    const auto error = refusal("/no/such/library.so");
    CHECK(error == Errc::load_failed);
    CHECK(error.message().find("/no/such/library.so") != std::string::npos);
  }
  SUBCASE("not a platform") {
    const auto error = refusal(platforms + "/libtroupe_static_one.so");
    CHECK(error == Errc::missing_symbol);
    CHECK(error.message().find("'troupe_device_abi_version'") != std::string::npos);
  }
  SUBCASE("required functions are missing: all of them are named") {
    const auto error = refusal(platforms + "/libtroupe_lacks_symbols.so");
    CHECK(error == Errc::missing_symbol);
    CHECK(error.message().find("libtroupe_lacks_symbols.so") != std::string::npos);
    CHECK(error.message().find("'abort_runs', 'device_status'") != std::string::npos);
  }
  SUBCASE("another version of the ABI") {
    const auto error = refusal(platforms + "/libtroupe_other_version.so");
    CHECK(error == Errc::version_mismatch);
    CHECK(error.message().find("7.3") != std::string::npos);
  }
}

TEST_CASE("an optional function that a library lacks is a typed error at the call") {
  const auto library = DeviceLibrary::open(platforms + "/libtroupe_scripted.so").value();
  auto context = DeviceContext::create(library.api(), std::make_shared<HostThreads>()).value();
  context.set_device(0).value();
  troupe_window_blob blob{};
  const auto window = context.window_create({}, blob);
  REQUIRE(!window);
  CHECK(window.error() == Errc::unsupported);
  CHECK(window.error().message().find("'window_create'") != std::string::npos);
  CHECK(window.error().message().find("libtroupe_scripted.so") != std::string::npos);
  CHECK(context.comm_init(0, 1, "m").error() == Errc::unsupported);
}

TEST_CASE("the conformance program passes a good library, and says what it did not try") {
  const auto said = conformance({"--library", platforms + "/libtroupe_scripted.so"});
  CHECK_MESSAGE(said.end.exit_code == 0, said.text);
  CHECK(said.text.find("PASS destroy-while-busy") != std::string::npos);
  CHECK(said.text.find("skip windows") != std::string::npos);
  CHECK(said.text.find("\n0 failed") == std::string::npos);
}

TEST_CASE("the conformance program fails a library that breaks a rule, and only that rule") {
  const auto said = conformance(
      {"--library", platforms + "/libtroupe_frees_twice.so", "--rule", "frees", "--rule", "copies"});
  CHECK(said.end.exit_code == 1);
  CHECK(said.text.find("FAIL frees") != std::string::npos);
  CHECK(said.text.find("freeing twice succeeded") != std::string::npos);
  CHECK(said.text.find("PASS copies") != std::string::npos);
}

TEST_CASE("the conformance program survives a library that crashes") {
  const auto said =
      conformance({"--library", platforms + "/libtroupe_crashes.so", "--rule", "abort", "--rule", "sizes"});
  CHECK(said.end.exit_code == 1);
  CHECK(said.text.find("FAIL abort") != std::string::npos);
  CHECK(said.text.find("PASS sizes") != std::string::npos);
  CHECK(conformance({"--library", platforms + "/libtroupe_lacks_symbols.so"}).end.exit_code == 2);
}
