#include "threads/hot_first.hpp"

#include <doctest/doctest.h>

#include <caf/scheduler/test_coordinator.hpp>
#include <string>

using namespace troupe::actors;

namespace {

struct Number {
  int value = 0;
};
struct Word {
  std::string value;
};

}  // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(Number)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(Word)

namespace {

using Sum = caf::typed_actor<caf::reacts_to<Number>, caf::reacts_to<Word>>;

/// Adds up numbers, whose handler is known by its type, and notes words.
class SumActor final : public Sum::base {
 public:
  SumActor(caf::actor_config& config, int& sum, std::string& words)
      : Sum::base(config), sum_(&sum), words_(&words) {}

  behavior_type make_behavior() override {
    const auto add = [this](Number& number) { *sum_ += std::exchange(number.value, 0); };
    behavior_type all{[this](const Word& word) { *words_ += word.value; }, add};
    return hot_first(this, std::move(all), add);
  }

 private:
  int* sum_;
  std::string* words_;
};

struct Config : caf::actor_system_config {
  Config() { set("scheduler.policy", caf::atom("testing")); }
};

struct Hall {
  Config config;
  caf::actor_system system{config};
  int sum = 0;
  std::string words;
  Sum actor = system.spawn<SumActor>(std::ref(sum), std::ref(words));

  void run() { dynamic_cast<caf::scheduler::test_coordinator&>(system.scheduler()).run(); }
  ~Hall() {
    caf::anon_send_exit(actor, caf::exit_reason::user_shutdown);
    actor = nullptr;
    run();
  }
};

}  // namespace

TEST_CASE("messages that are known by their types and others come to their handlers, in order") {
  Hall hall;
  caf::anon_send(hall.actor, Number{2});
  caf::anon_send(hall.actor, Word{"a"});
  caf::anon_send(hall.actor, Number{3});
  caf::anon_send(hall.actor, Word{"b"});
  hall.run();
  CHECK(hall.sum == 5);
  CHECK(hall.words == "ab");
}

TEST_CASE("who waits for the end of a message that is known by its type hears of it") {
  Hall hall;
  caf::scoped_actor self(hall.system);
  auto request = self->request(hall.actor, caf::infinite, Number{7});
  hall.run();
  bool answered = false;
  request.receive([&] { answered = true; }, [](const caf::error&) {});
  CHECK(answered);
  CHECK(hall.sum == 7);
}

TEST_CASE("a message that is known by its type and that others have too stays as it is for them") {
  Hall hall;
  const auto shared = caf::make_message(Number{4});
  caf::anon_send(caf::actor_cast<caf::actor>(hall.actor), shared);
  hall.run();
  CHECK(hall.sum == 4);
  CHECK(shared.get_as<Number>(0).value == 4);
}
