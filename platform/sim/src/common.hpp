#pragma once

// What every platform of ours needs is in platform/common, and is called by its own name here.
namespace troupe::platform::common {}
namespace troupe::platform::sim {
using namespace common;
}
