// A user built a module again and loaded it into the process that had the old one: a notebook, a server, a
// test runner. The old kernels ran, under the identity of the new ones, and nothing said so: the dynamic
// linker answers a path, or a file, that it knows with what it mapped first, and the identity was taken from
// the bytes on disk. Likewise for two modules that both were "./kernels.so", before and after a chdir; and a
// chip in a process of its own, which loads the file later, took a module without a build-id for any other.
//
// Promised now: a module is found by its absolute path; one that was replaced since this process loaded it,
// or while it did, is refused with a sentence, whoever loaded it first.
#include <dlfcn.h>
#include <doctest/doctest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "support/temporary_folder.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/runtime/digest.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using test::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

std::string version(int number, const char* form = "") {
  return tests::built("tests/regressions/version_" + std::to_string(number) + form + ".so");
}

/// As a build does: a new file in the place of the old one.
void replace(const std::string& file, const std::string& by) {
  fs::copy_file(by, file + ".next");
  fs::rename(file + ".next", file);
}

/// What the kernel of a module makes, on a node of its own.
float ran(const std::string& file, bool own_process = false, const std::function<void()>& meanwhile = {}) {
  System system({.threads = 2});
  const auto node = system.node(
      {.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1, .own_process = own_process});
  node.load(file);
  if (meanwhile) meanwhile();
  const auto x = node.tensor<float>({1});
  node.run([&](Orchestrator& program) { program.submit("regression_version", actors::out(x)); });
  return x.host<const float>()[0];
}

void is_refused(const std::string& file, const char* why = "was replaced since this process loaded it") {
  const auto refused = runtime::Module::open(file);
  REQUIRE_FALSE(refused.has_value());
  CAPTURE(render(refused.error()));
  CHECK(refused.error() == runtime::Errc::module_unreadable);
  CHECK(render(refused.error()).find(why) != std::string::npos);
  CHECK_FALSE(refused.error().hint().empty());
}

struct WorkingFolder {
  explicit WorkingFolder(const fs::path& to) : before(fs::current_path()) { fs::current_path(to); }
  ~WorkingFolder() { fs::current_path(before); }
  WorkingFolder(const WorkingFolder&) = delete;
  WorkingFolder& operator=(const WorkingFolder&) = delete;
  fs::path before;
};

struct Environment {
  Environment(const char* of, const std::string& value) : name(of) { ::setenv(of, value.c_str(), 1); }
  ~Environment() { ::unsetenv(name); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  const char* name;
};

}  // namespace

TEST_CASE("two modules that have the same relative path, from two folders, are two modules") {
  const TemporaryFolder folder;
  for (const auto* name : {"one", "two"}) fs::create_directory(folder.path() / name);
  fs::copy_file(version(1), folder.path() / "one" / "kernels.so");
  fs::copy_file(version(2), folder.path() / "two" / "kernels.so");
  {
    const WorkingFolder here(folder.path() / "one");
    CHECK(ran("./kernels.so") == 1);
  }
  const WorkingFolder here(folder.path() / "two");
  CHECK(ran("./kernels.so") == 2);
  CHECK(ran("kernels.so") == 2);
}

TEST_CASE("a module that was built again under the same path is refused, and loads under another name") {
  const TemporaryFolder folder;
  for (const auto* form : {"", "_bare"}) {
    const auto file = folder / (std::string("kernels") + form + ".so");
    fs::copy_file(version(1, form), file);
    CHECK(ran(file) == 1);
    CHECK(ran(file) == 1);
    replace(file, version(2, form));
    is_refused(file);
    CHECK(test::error_of([&] { (void)ran(file); }));
    fs::copy_file(file, file + ".2");
    CHECK(ran(file + ".2") == 2);
    replace(file, version(1, form));  // back again: what was loaded
    CHECK(ran(file) == 1);
  }
}

TEST_CASE("a module whose file was written over is refused, also under another name of the same file") {
  const TemporaryFolder folder;
  const auto file = folder / "kernels.so", link = folder / "link.so";
  fs::copy_file(version(1, "_bare"), file);
  REQUIRE(runtime::Module::open(file));
  // Bytes that nobody maps: those of the mapped code would change under it.
  std::ofstream(file, std::ios::binary | std::ios::app) << "another";
  is_refused(file);
  fs::create_hard_link(file, link);
  is_refused(link);
}

TEST_CASE("a link that leads to another module now is refused, its target is not") {
  const TemporaryFolder folder;
  const auto link = folder / "kernels.so", one = folder / "one.so", two = folder / "two.so";
  fs::copy_file(version(1), one);
  fs::copy_file(version(2), two);
  fs::create_symlink(one, link);
  CHECK(ran(link) == 1);
  fs::remove(link);
  fs::create_symlink(two, link);
  is_refused(link);
  CHECK(ran(two) == 2);
}

TEST_CASE("a module that somebody else loaded before it was replaced is refused") {
  const TemporaryFolder folder;
  const auto file = folder / "kernels.so";
  fs::copy_file(version(1), file);
  REQUIRE((::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr));
  replace(file, version(2));
  is_refused(file);
}

TEST_CASE("a module that is replaced while it is loaded is refused") {
  const TemporaryFolder folder;
  const auto file = folder / "kernels.so", next = folder / "next.so";
  fs::copy_file(version(1, "_bare"), file);
  fs::copy_file(version(2, "_bare"), next);
  {
    const Environment from("TROUPE_TEST_NEXT", next), to("TROUPE_TEST_HERE", file);
    is_refused(file, "was replaced while it was being loaded");
  }
  CHECK_FALSE(fs::exists(next));
}

TEST_CASE("a chip in a process of its own refuses a module that was replaced, without a build-id, too") {
  const TemporaryFolder folder;
  for (const auto* form : {"", "_bare"}) {
    const auto file = folder / (std::string("kernels") + form + ".so");
    fs::copy_file(version(1, form), file);
    CHECK(ran(file, true) == 1);
    const auto error =
        test::error_of([&] { (void)ran(file, true, [&] { replace(file, version(2, form)); }); });
    REQUIRE(error);
    CAPTURE(render(*error));
    CHECK(render(*error).find("was replaced since the program loaded module") != std::string::npos);
  }
}

TEST_CASE("the identity of a module without a build-id is that of what was loaded, not of its file today") {
  const TemporaryFolder folder;
  const auto file = folder / "kernels.so";
  fs::copy_file(version(1, "_bare"), file);
  const auto module = runtime::Module::open(file).value();
  REQUIRE(runtime::build_id_of(module.raw()).empty());
  const auto before = runtime::object_identity(module.raw()).value();
  replace(file, version(2, "_bare"));
  CHECK(runtime::object_identity(module.raw()).value() == before);
}

TEST_CASE("two platforms that have the same relative path, from two folders, are two platforms") {
  const TemporaryFolder folder;
  const auto in = [&](const char* name) { return (folder.path() / name).string(); };
  for (const auto* name : {"one", "two"}) fs::create_directory(in(name));
  fs::create_symlink(tests::built("lib/libtroupe_a2a3sim.so"), in("one") + "/platform.so");
  fs::create_symlink(tests::built("lib/libtroupe_a5sim.so"), in("two") + "/platform.so");
  const auto opened = [&](const char* name) {
    const WorkingFolder here(in(name));
    return platform::DeviceLibrary::open("./platform.so").value();
  };
  const auto one = opened("one"), two = opened("two");
  CHECK((one.api().create_device_context != two.api().create_device_context));
}

TEST_CASE("a platform library that was built anew is not answered with the old one") {
  const TemporaryFolder folder;
  const std::string file = folder / "libmine.so";
  fs::copy_file(tests::built("lib/libtroupe_a2a3sim.so"), file);
  REQUIRE(platform::DeviceLibrary::open(file).has_value());
  CHECK(platform::DeviceLibrary::open(file).has_value());
  replace(file, tests::built("lib/libtroupe_a5sim.so"));
  const auto again = platform::DeviceLibrary::open(file);
  REQUIRE_FALSE(again.has_value());
  CHECK(render(again.error()).find("was replaced since this process loaded it") != std::string::npos);
  CHECK_FALSE(again.error().hint().empty());
}
