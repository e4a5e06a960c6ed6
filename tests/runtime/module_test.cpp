#include "troupe/runtime/module.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support/built.hpp"
#include "troupe/runtime/kernel.hpp"
#include "troupe/runtime/object_file.hpp"

TROUPE_MODULE("runtime_tests");

// A kind that another floor owns, with traits like the ones it would supply.
namespace {
int add_up(int a, int b) { return a + b; }
}  // namespace
template <auto Function>
struct troupe::runtime::CallableTraits<troupe::runtime::CallableKind::program, Function> {
  static constexpr const char* signature = "i32,i32";
  static std::int32_t invoke(const troupe_program_call_v1* call) noexcept {
    const auto* arguments = static_cast<const int*>(call->arguments);
    *static_cast<int*>(call->orchestrator) = Function(arguments[0], arguments[1]);
    return TROUPE_DONE;
  }
};
TROUPE_PROGRAM(add_up);

namespace {

using namespace troupe::runtime;
namespace fs = std::filesystem;

fs::path file(std::string_view name) {
  return fs::path(troupe::tests::built("tests/runtime/modules")) / name;
}

template <class T>
bool fails(const troupe::Result<T>& result, Errc code, std::string_view part) {
  if (result.has_value()) return false;
  INFO(result.error().what());
  CHECK(std::string(result.error().what()).find(part) != std::string::npos);
  return result.error() == code;
}

TEST_CASE("the running program reads its own module, with callables of several files and kinds") {
  const Module module = this_module();
  CHECK(module.name() == "runtime_tests");
  CHECK(module.find(CallableKind::kernel, "scale").has_value());
  CHECK(module.find(CallableKind::host_function, "sum").has_value());
  const Callable program = module.find("add_up").value();
  CHECK(program.kind() == CallableKind::program);
  CHECK(program.signature() == "i32,i32");
  int arguments[] = {2, 3}, result = 0;
  const troupe_program_call_v1 call{sizeof call, 0, &result, arguments, nullptr, 0, nullptr};
  CHECK(program.descriptor->invoke.program(&call) == TROUPE_DONE);
  CHECK(result == 5);
}

TEST_CASE("a module file is loaded with everything that its source files define") {
  const Module module = Module::open(file("libtest_two_files.so")).value();
  CHECK(module.name() == "two_files");
  CHECK(module.callables().size() == 3);
  CHECK(module.find("mul").value().kind() == CallableKind::kernel);
  CHECK(fails(module.find("add"), Errc::callable_not_found, "both a"));
  CHECK(module.find(CallableKind::host_function, "add").has_value());
  CHECK(fails(module.find("sub"), Errc::callable_not_found, "no callable \"sub\""));
  CHECK(module.find("sub").error().hint().find("mul") != std::string::npos);
  CHECK(fails(module.find(CallableKind::chip_program, "mul"), Errc::callable_not_found,
              "no chip program \"mul\""));
  CHECK(Module::open(file("libtest_empty.so")).value().callables().empty());
}

TEST_CASE("nothing is lost to optimisation, hidden visibility and section garbage collection") {
  CHECK(Module::open(file("libtest_two_files_gc.so")).value().callables().size() == 3);
}

TEST_CASE("a library that asks for its own module gets its own, not the program's") {
  const fs::path path = file("libtest_two_files.so");
  REQUIRE(Module::open(path).has_value());
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  REQUIRE(library != nullptr);  // program modules stay loaded
  using Get = const troupe_module_v1* (*)();
  const auto get = reinterpret_cast<Get>(dlsym(library, "two_files_this_module"));
  REQUIRE((get != nullptr));
  CHECK(std::string(get()->name) == "two_files");
  dlclose(library);
}

TEST_CASE("the symbols of a module stay its own") {
  REQUIRE(Module::open(file("libtest_two_files.so")).has_value());
  CHECK(dlsym(RTLD_DEFAULT, "two_files_this_module") == nullptr);
}

TEST_CASE("a file that is no module is refused with its name and the reason") {
  CHECK(fails(Module::open("/nonexistent/x.so"), Errc::module_unreadable, "/nonexistent/x.so"));
  CHECK(fails(Module::open(fs::temp_directory_path()), Errc::module_unreadable, "cannot read"));
  CHECK(fails(Module::open(file("libtest_no_module.so")), Errc::module_symbol_missing, "\"troupe_module\""));
  CHECK(fails(Module::open(file("libtest_newer_version.so")), Errc::module_version, "layout version 2"));
  CHECK(fails(Module::open(file("libtest_unresolved.so")), Errc::module_unreadable,
              "troupe_test_symbol_that_nobody_defines"));
  CHECK(fails(Module::open(file("libtest_twice.so")), Errc::module_malformed, "the kernel \"add\" twice"));
  CHECK(fails(Module::open("/proc/self/exe"), Errc::module_unreadable, "/proc/self/exe"));
}

TEST_CASE("a module file that was cut anywhere in its loaded part is refused before the linker sees it") {
  std::ifstream stream(file("libtest_empty.so"), std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(stream), {}};
  const auto bytes = std::as_bytes(std::span(whole));
  REQUIRE(object_defect(bytes).empty());
  for (const std::size_t size : {0UL, 3UL, 20UL, 63UL, 64UL, 100UL, 500UL, 4096UL}) {
    INFO(size);
    CHECK_FALSE(object_defect(bytes.first(size)).empty());
  }
  Elf64_Ehdr header;
  std::memcpy(&header, whole.data(), sizeof header);
  std::size_t loaded = 0;  // the end of the last segment
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, whole.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    loaded = std::max<std::size_t>(loaded, segment.p_offset + segment.p_filesz);
  }
  CHECK(object_defect(bytes.first(loaded)).empty());
  CHECK(object_defect(bytes.first(loaded - 1)).find("it ends inside segment") == 0);
  CHECK(object_defect(bytes.first(3)) == "it is no ELF file");
  CHECK(object_defect(bytes.first(100)) == "it ends inside its program headers");
  const auto with = [&](std::size_t at, char byte) {
    std::string changed = whole;
    changed[at] = byte;
    return object_defect(std::as_bytes(std::span(changed)));
  };
  CHECK(with(4, 1) == "it is not a 64-bit little-endian file");
  CHECK(with(18, 8) == "it is for machine 8, not for this one");
  CHECK(with(16, 1) == "it is no shared object");
  const fs::path cut =
      fs::temp_directory_path() / ("troupe_cut_module_" + std::to_string(::getpid()) + ".so");
  std::ofstream(cut, std::ios::binary).write(whole.data(), 4096);
  CHECK(fails(Module::open(cut), Errc::module_unreadable, "it ends inside segment"));
  fs::remove(cut);
}

TEST_CASE("a module knows whether one of its kernels waits, one that does not tell may") {
  CHECK(has_waits(troupe_this_module));  // kernel_test.cpp has one
  const std::uint8_t waits[]{0, 0, 1};
  troupe_module_v1 module = troupe_this_module;
  module.waits_begin = waits;
  module.waits_end = waits + 2;
  CHECK_FALSE(has_waits(module));
  module.waits_end = waits + 3;
  CHECK(has_waits(module));
  module.waits_begin = module.waits_end = nullptr;
  CHECK(has_waits(module));
  // Made before there was such a thing: what lies behind it is not looked at, and it is still good.
  module = troupe_this_module;
  module.size = TROUPE_MODULE_LEAST_SIZE;
  module.waits_begin = module.waits_end = waits;
  CHECK(validate(&module, "test"));
  CHECK(has_waits(module));
}

TEST_CASE("a module structure that contradicts itself is refused with the reason") {
  const troupe_callable_v1 good = *this_module().find("scale").value().descriptor;
  troupe_callable_v1 callable = good;
  const troupe_callable_v1* entries[] = {nullptr, &callable};
  const std::uint8_t waits[]{0, 1};
  const troupe_module_v1 fine{TROUPE_MODULE_MAGIC,
                              TROUPE_MODULE_VERSION,
                              sizeof(troupe_module_v1),
                              sizeof(troupe_callable_v1),
                              "m",
                              entries,
                              entries + 2,
                              waits,
                              waits + 2,
                              nullptr,
                              nullptr};
  CHECK(Module::from(&fine, "test").value().callables().size() == 1);
  const std::string long_name(256, 'x');
  const auto with_callable = [&](auto change) {
    callable = good;
    change(callable);
    return validate(&fine, "test");
  };
  CHECK(
      fails(with_callable([](auto& c) { c.size = 8; }), Errc::module_malformed, "descriptor 1 has 8 bytes"));
  CHECK(fails(with_callable([](auto& c) { c.name = nullptr; }), Errc::module_malformed,
              "descriptor 1 has no name"));
  CHECK(fails(with_callable([](auto& c) { c.name = ""; }), Errc::module_malformed, "no name"));
  CHECK(
      fails(with_callable([&](auto& c) { c.name = long_name.c_str(); }), Errc::module_malformed, "no name"));
  CHECK(fails(with_callable([](auto& c) { c.kind = 5; }), Errc::module_malformed, "unknown kind 5"));
  CHECK(fails(with_callable([](auto& c) { c.kind = 0; }), Errc::module_malformed, "unknown kind 0"));
  CHECK(fails(with_callable([](auto& c) { c.signature = nullptr; }), Errc::module_malformed, "no signature"));
  CHECK(fails(with_callable([](auto& c) { c.invoke.kernel = nullptr; }), Errc::module_malformed,
              "no function"));
  callable = good;
  const auto with_module = [&](auto change) {
    troupe_module_v1 module = fine;
    change(module);
    return validate(&module, "test");
  };
  CHECK(fails(validate(nullptr, "test"), Errc::module_malformed, "null"));
  CHECK(fails(with_module([](auto& m) { m.magic = 1; }), Errc::module_malformed, "\"test\""));
  CHECK(fails(with_module([](auto& m) { m.version = 0; }), Errc::module_version, "version 0"));
  CHECK(fails(with_module([](auto& m) { m.size = 8; }), Errc::module_malformed, "smaller"));
  CHECK(fails(with_module([](auto& m) { m.waits_end = nullptr; }), Errc::module_malformed, "list of waits"));
  CHECK(fails(with_module([](auto& m) { m.images_begin = reinterpret_cast<decltype(m.images_begin)>(&m); }),
              Errc::module_malformed, "list of device images"));
  troupe_device_image_v1 image{sizeof image, TROUPE_IMAGE_SPIR, "x", 1, "k.cpp"};
  const troupe_device_image_v1* images[] = {nullptr, &image};
  const auto with_images = [&](auto& m) {
    m.images_begin = images;
    m.images_end = images + 2;
  };
  CHECK(with_module(with_images));
  image.byte_count = 0;
  CHECK(fails(with_module(with_images), Errc::module_malformed, "device image 1"));
  CHECK(fails(with_module([](auto& m) { m.callable_size = 8; }), Errc::module_malformed, "smaller"));
  CHECK(fails(with_module([](auto& m) { m.name = nullptr; }), Errc::module_malformed, "no name"));
  CHECK(fails(with_module([](auto& m) { std::swap(m.begin, m.end); }), Errc::module_malformed,
              "list of callables"));
  CHECK(fails(with_module([](auto& m) { m.begin = nullptr; }), Errc::module_malformed, "list of callables"));
}

}  // namespace
