// says: a tensor argument says what the task does with it
#include <troupe/platform/chip_program.hpp>
TROUPE_CHIP_PROGRAM(chain)(troupe::platform::ChipOrchestrator& chip, troupe::platform::ChipArgs args) {
  chip.aiv("add", args.tensor(0));
}
