#include "troupe/runtime/object_file.hpp"

#include <doctest/doctest.h>
#include <elf.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include "support/built.hpp"

using troupe::runtime::object_defect;
using troupe::runtime::unique_symbols;

namespace {

/// A real object whose tables can be spoilt. In it, addresses of what is only read are places in the file.
struct Object {
  explicit Object(const char* name) {
    std::ifstream file(troupe::tests::built(std::string("tests/runtime/modules/") + name), std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
    REQUIRE(!bytes.empty());
    const auto header = at<Elf64_Ehdr>(0);
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
      const auto segment = at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
      if (segment.p_type == PT_DYNAMIC) dynamic = segment.p_offset;
    }
    for (std::size_t place = dynamic; at<Elf64_Dyn>(place).d_tag != DT_NULL; place += sizeof(Elf64_Dyn)) {
      places[at<Elf64_Dyn>(place).d_tag] = place;
    }
  }
  template <class T>
  T at(std::size_t place) const {
    T value;
    std::memcpy(&value, bytes.data() + place, sizeof value);
    return value;
  }
  template <class T>
  void put(std::size_t place, T value) {
    std::memcpy(bytes.data() + place, &value, sizeof value);
  }
  std::uint64_t dynamic_address() const {
    const auto header = at<Elf64_Ehdr>(0);
    for (std::size_t i = 0; i < header.e_phnum; ++i) {
      const auto segment = at<Elf64_Phdr>(header.e_phoff + i * sizeof(Elf64_Phdr));
      if (segment.p_type == PT_DYNAMIC) return segment.p_vaddr;
    }
    return 0;
  }
  std::uint64_t value(std::int64_t tag) const { return at<Elf64_Dyn>(places.at(tag)).d_un.d_val; }
  void set(std::int64_t tag, std::uint64_t value) { put(places.at(tag) + sizeof(Elf64_Sxword), value); }
  void rename(std::int64_t tag, std::int64_t other) { put(places.at(tag), other); }
  std::string defect() const { return object_defect(std::as_bytes(std::span(bytes))); }

  std::string bytes;
  std::size_t dynamic = 0;
  std::map<std::int64_t, std::size_t> places;
};

std::string spoilt(const std::function<void(Object&)>& spoil) {
  Object object("libtest_two_files.so");
  REQUIRE(object.defect() == "");
  spoil(object);
  return object.defect();
}

std::size_t relocation(const Object& object, std::uint32_t type) {
  for (const auto& [first, bytes] : {std::pair{DT_RELA, DT_RELASZ}, std::pair{DT_JMPREL, DT_PLTRELSZ}}) {
    for (std::size_t at = 0; at < object.value(bytes); at += sizeof(Elf64_Rela)) {
      const std::size_t place = object.value(first) + at;
      if (ELF64_R_TYPE(object.at<Elf64_Rela>(place).r_info) == type) return place;
    }
  }
  FAIL("no such relocation");
  return 0;
}

#if defined(__x86_64__)
constexpr std::uint32_t relative = R_X86_64_RELATIVE, of_a_call = R_X86_64_JUMP_SLOT;
#else
constexpr std::uint32_t relative = R_AARCH64_RELATIVE, of_a_call = R_AARCH64_JUMP_SLOT;
#endif

}  // namespace

TEST_CASE("an object whose dynamic table was scrambled is refused, with what is wrong") {
  CHECK(spoilt([](Object& o) { o.set(DT_STRTAB, 1U << 30U); }) ==
        "its strings lie outside of it or have no end");
  CHECK(spoilt([](Object& o) { o.set(DT_STRSZ, ~0ULL); }) == "its strings lie outside of it or have no end");
  CHECK(spoilt([](Object& o) { o.rename(DT_SYMTAB, 0x70000001); }) ==
        "its dynamic table names no strings or no symbols");
  CHECK(spoilt([](Object& o) { o.set(DT_SYMENT, 16); }) ==
        "its dynamic table speaks of rows of an unknown kind");
  CHECK(spoilt([](Object& o) { o.rename(DT_JMPREL, 0x70000001); }) == "its dynamic table is incomplete");
  CHECK(spoilt([](Object& o) { o.rename(DT_VERSYM, 0x70000001); }) == "its dynamic table is incomplete");
  CHECK(spoilt([](Object& o) { o.set(DT_NEEDED, 1U << 30U); }) ==
        "its dynamic table names a string that is not there");
  CHECK(spoilt([](Object& o) { o.set(DT_RELASZ, o.value(DT_RELASZ) + 1); }) ==
        "its relocations lie outside of it");
  CHECK(spoilt([](Object& o) { o.set(DT_INIT, 0); }) ==
        "its first or last function lies outside of its code");
  CHECK(spoilt([](Object& o) {
          for (std::size_t at = o.dynamic; o.at<Elf64_Dyn>(at).d_tag != DT_NULL; at += sizeof(Elf64_Dyn))
            o.put<std::int64_t>(at, DT_DEBUG);
        }) != "");
}

TEST_CASE("an object whose symbols or their index were scrambled is refused, with what is wrong") {
  CHECK(spoilt([](Object& o) { o.put<std::uint32_t>(o.value(DT_SYMTAB) + sizeof(Elf64_Sym), 1U << 30U); }) ==
        "symbol 1 has a name that is not there");
  CHECK(spoilt([](Object& o) { o.put<std::uint16_t>(o.value(DT_VERSYM) + 2, 99); }) ==
        "symbol 1 has a version that does not exist");
  CHECK(spoilt([](Object& o) { o.put<std::uint32_t>(o.value(DT_GNU_HASH) + 8, 3); }) ==
        "its symbol index contradicts itself");
  CHECK(spoilt([](Object& o) { o.put<std::uint32_t>(o.value(DT_GNU_HASH), ~0U); }) ==
        "its symbol index contradicts itself");
  CHECK(spoilt([](Object& o) {
          const auto filters = o.at<std::uint32_t>(o.value(DT_GNU_HASH) + 8);
          o.put<std::uint32_t>(o.value(DT_GNU_HASH) + 16 + filters * 8, 1U << 20U);
        }) == "a chain of its symbol index has no end");
  CHECK(spoilt([](Object& o) { o.put<std::uint32_t>(o.value(DT_VERNEED) + 12, 2); }) ==
        "the versions that it needs lead astray");
}

TEST_CASE("an object whose relocations were scrambled is refused, with what is wrong") {
  CHECK(spoilt([](Object& o) {
          o.put<std::uint64_t>(relocation(o, of_a_call), 8);
        }).find("writes outside of it") != std::string::npos);
  CHECK(spoilt([](Object& o) {
          o.put<std::uint64_t>(relocation(o, of_a_call) + 8, ELF64_R_INFO(1ULL << 30U, of_a_call));
        }).find("is about a symbol that is not there") != std::string::npos);
  // The first relative one is a constructor's.
  CHECK(spoilt([](Object& o) { o.put<std::uint64_t>(relocation(o, relative) + 16, 0); }) ==
        "constructor 0 is no code of it");
  CHECK(spoilt([](Object& o) {
          o.set(DT_RELACOUNT, o.value(DT_RELASZ) / sizeof(Elf64_Rela));
        }).find("is none of the kind announced") != std::string::npos);
}

TEST_CASE(
    "an object whose relocations contradict each other, or their symbols, is refused, with what is wrong") {
  CHECK(spoilt([](Object& o) {
          o.put<std::uint64_t>(relocation(o, of_a_call), o.at<Elf64_Rela>(relocation(o, relative)).r_offset);
        }) == "two of its relocations write to one place");
  CHECK(spoilt([](Object& o) { o.put<std::uint64_t>(relocation(o, of_a_call), o.dynamic_address()); }) ==
        "a relocation writes into its dynamic table");
  CHECK(spoilt([](Object& o) {
          o.put<std::uint32_t>(relocation(o, of_a_call) + 8, 5000);
        }).find("is of kind 5000, which shared objects do not have") != std::string::npos);
  CHECK(spoilt([](Object& o) {
          o.put<std::uint32_t>(relocation(o, of_a_call) + 12, 0);
        }).find("is about no symbol") != std::string::npos);
  CHECK(spoilt([](Object& o) {
          o.put<std::uint32_t>(relocation(o, relative) + 12, 1);
        }).find("names a symbol that it has no use for") != std::string::npos);
  CHECK(spoilt([](Object& o) { o.set(DT_SYMTAB, o.value(DT_SYMTAB) + sizeof(Elf64_Sym)); }) ==
        "its symbols do not begin where it says");
  CHECK(spoilt([](Object& o) { o.set(DT_STRTAB, o.value(DT_STRTAB) + 1); }) != "");
}

TEST_CASE("symbols that are unique in the process are found where they stand") {
  const Object object("libtest_unique.so");
  const auto bytes = std::as_bytes(std::span(object.bytes));
  REQUIRE(object_defect(bytes) == "");
  const auto places = unique_symbols(bytes);
#if defined(__GNUC__) && !defined(__clang__)
  CHECK(places.size() == 1);
#endif
  for (const std::size_t place : places) {
    const auto symbol = object.at<Elf64_Sym>(place - offsetof(Elf64_Sym, st_info));
    CHECK(ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE);
    CHECK(std::string(&object.bytes[object.value(DT_STRTAB) + symbol.st_name]).find("how_many") !=
          std::string::npos);
  }
}
