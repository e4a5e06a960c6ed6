#include "troupe/runtime/digest.hpp"

#include <dlfcn.h>
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_set>

#include "support/built.hpp"
#include "troupe/runtime/errc.hpp"
#include "troupe/runtime/module.hpp"

namespace {

using namespace troupe::runtime;
namespace fs = std::filesystem;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

void one_function() {}
int another_function(int x) { return x + 1; }

const void* address(auto* function) { return reinterpret_cast<const void*>(function); }

TEST_CASE("a digest is SHA-256 and prints as hex") {
  CHECK(to_string(sha256(bytes_of("abc"))) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(to_string(sha256({})) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(short_string(sha256(bytes_of("abc"))) == "ba7816bf8f01");
  CHECK(Digest{}.empty());
  CHECK_FALSE(sha256({}).empty());
  CHECK(Hasher().raw(bytes_of("a")).raw(bytes_of("bc")).finish() == sha256(bytes_of("abc")));
}

TEST_CASE("fields are told apart by their lengths") {
  CHECK(Hasher().field("ab").field("c").finish() != Hasher().field("a").field("bc").finish());
  CHECK(Hasher().field("").finish() != Hasher().finish());
}

TEST_CASE("a file's digest is that of its bytes") {
  const fs::path path = fs::temp_directory_path() / ("troupe_digest_test_" + std::to_string(::getpid()));
  const std::string content(200'000, 'q');
  std::ofstream(path, std::ios::binary) << content;
  CHECK(sha256_of_file(path).value() == sha256(bytes_of(content)));
  fs::remove(path);
  CHECK(sha256_of_file(path).error() == Errc::digest_unavailable);
  CHECK(sha256_of_file(fs::temp_directory_path()).error() == Errc::digest_unavailable);
}

TEST_CASE("kind, name, signature and code each change a callable's digest") {
  const std::unordered_set<Digest, DigestHash> all = {
      digest_of({1, "add", "..."}, bytes_of("elf")),
      digest_of({2, "add", "..."}, bytes_of("elf")),
      digest_of({1, "sub", "..."}, bytes_of("elf")),
      digest_of({1, "add", "f32"}, bytes_of("elf")),
      digest_of({1, "add", "..."}, bytes_of("fle")),
      digest_of({1, "add", "..."}, address(one_function)).value()};
  CHECK(all.size() == 6);
  CHECK(digest_of({1, "add", "..."}, bytes_of("elf")) ==
        digest_of({1, "add", "..."}, sha256(bytes_of("elf"))));
}

TEST_CASE("functions of the running program have stable and distinct digests") {
  const Digest one = digest_of({3, "f", ""}, address(one_function)).value();
  CHECK(one == digest_of({3, "f", ""}, address(one_function)).value());
  CHECK(one != digest_of({3, "f", ""}, address(another_function)).value());
  CHECK(build_id_of(address(one_function)).size() == 20);
}

TEST_CASE("an address in no loaded object has no digest") {
  const int local = 0;
  const auto result = digest_of({3, "lambda", ""}, static_cast<const void*>(&local));
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error() == Errc::digest_unavailable);
  CHECK(std::string(result.error().what()).find("\"lambda\"") != std::string::npos);
  CHECK(build_id_of(&local).empty());
}

TEST_CASE("an object without a build-id is identified by its file") {
  const fs::path path = troupe::tests::built("tests/runtime/modules/libtest_no_build_id.so");
  const Module module = Module::open(path).value();
  const auto* code = address(module.find("mul").value().descriptor->invoke.kernel);
  CHECK(build_id_of(code).empty());
  const Digest digest = digest_of({1, "mul", "..."}, code).value();
  CHECK(digest == digest_of({1, "mul", "..."}, code).value());
  CHECK(digest != digest_of({1, "mul", "..."}, address(one_function)).value());
}

TEST_CASE("the same module file under another path has the same identities") {
  const fs::path original = troupe::tests::built("tests/runtime/modules/libtest_two_files.so");
  const fs::path copy =
      fs::temp_directory_path() / ("troupe_module_copy_" + std::to_string(::getpid()) + ".so");
  fs::copy_file(original, copy, fs::copy_options::overwrite_existing);
  const Module a = Module::open(original).value();
  const Module b = Module::open(copy).value();
  fs::remove(copy);
  CHECK(a.find("mul").value().digest == b.find("mul").value().digest);
  CHECK(a.find("mul").value().descriptor != b.find("mul").value().descriptor);
  CHECK(a.find(CallableKind::kernel, "add").value().digest !=
        a.find(CallableKind::host_function, "add").value().digest);
}

}  // namespace
