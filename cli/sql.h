/* Every statement the command line prepares; the migrations are apart. */
#ifndef SQL_H
#define SQL_H

#include "db.h"

extern const struct db_stmt cli_sql[];

#endif
