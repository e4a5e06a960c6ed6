#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "tasks/tasks.hpp"

using namespace troupe::platform::sim;

namespace {

constexpr troupe_callable_v1 kernel_named(const char* name, std::uint32_t variant = 0) {
  troupe_callable_v1 callable{};
  callable.size = sizeof callable;
  callable.kind = TROUPE_CALLABLE_KERNEL;
  callable.variant = variant;
  callable.name = name;
  return callable;
}

struct Module {
  troupe_callable_v1 add = kernel_named("add"), mul = kernel_named("mul"),
                     waits = kernel_named("waits", TROUPE_KERNEL_WAITS);
  std::array<const troupe_callable_v1*, 3> all{&add, &mul, &waits};
  std::array<std::uint8_t, 1> no_waits{0};
  troupe_module_v1 module{};

  Module() {
    module.size = sizeof module;
    module.callable_size = sizeof(troupe_callable_v1);
    module.name = "m";
    module.begin = all.data();
    module.end = all.data() + all.size();
    module.waits_begin = no_waits.data();
    module.waits_end = no_waits.data() + no_waits.size();
  }
};

}  // namespace

TEST_CASE("a name means what its characters say, also when another one lies where it lay") {
  const Module m;
  CallableTable callables{nullptr};
  KernelTable table(callables);
  table.begin(&m.module);
  char name[] = "add";
  const KernelEntry* add = table.find(name, 3);
  REQUIRE(add != nullptr);
  CHECK(add->code.descriptor == &m.add);
  CHECK(table.find(name, 3) == add);
  std::memcpy(name, "mul", 3);
  const KernelEntry* mul = table.find(name, 3);
  REQUIRE(mul != nullptr);
  CHECK(mul->code.descriptor == &m.mul);
  CHECK(table.find(name, 2) == nullptr);
}

TEST_CASE("what was learnt of a kernel stays from run to run, what its name means does not") {
  const Module m;
  CallableTable callables{nullptr};
  KernelTable table(callables);
  table.begin(&m.module);
  KernelEntry* add = table.find("add", 3);
  REQUIRE(add != nullptr);
  add->usual_ticks = 17;
  table.end();
  table.begin(nullptr);
  CHECK(table.find("add", 3) == nullptr);
  table.begin(&m.module);
  CHECK(table.find("add", 3) == add);
  CHECK(add->usual_ticks == 17);
}

TEST_CASE("a kernel that says it waits may wait, the others of a module without waits never do") {
  const Module m;
  CallableTable callables{nullptr};
  KernelTable table(callables);
  table.begin(&m.module);
  CHECK(table.find("waits", 5)->waits);
  CHECK_FALSE(table.find("waits", 5)->never_waits);
  CHECK_FALSE(table.find("add", 3)->waits);
  CHECK(table.find("add", 3)->never_waits);
  CHECK(table.element_store().never_waits);
}
