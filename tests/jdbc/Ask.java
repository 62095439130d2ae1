// Asks a server through JDBC, whichever driver is on the class path, and prints what it said, a line a row with tabs:
//
//     java -cp DRIVER.jar Ask.java URL rows SQL [TYPE:VALUE]…     plain, or prepared where there are values
//     java -cp DRIVER.jar Ask.java URL metadata TABLE             what DatabaseMetaData says
//     java -cp DRIVER.jar Ask.java URL portions SQL N             how many rows, N at a time, and the sum of their first column
//     java -cp DRIVER.jar Ask.java URL cancel SQL                 cancelled after half a second
//     java -cp DRIVER.jar Ask.java URL update SQL                 its error
//
// tests/clients.py runs it; several questions in one run are separated by `--`.

import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

class Ask {
    public static void main(String[] arguments) throws Exception {
        try (Connection connection = DriverManager.getConnection(arguments[0])) {
            List<String> question = new ArrayList<>();
            for (String word : Arrays.asList(arguments).subList(1, arguments.length)) {
                if (word.equals("--")) {
                    ask(connection, question);
                    question.clear();
                } else {
                    question.add(word);
                }
            }
            ask(connection, question);
        }
    }

    static void ask(Connection connection, List<String> question) throws Exception {
        String what = question.get(0), of = question.get(1);
        System.out.println("-- " + what);
        switch (what) {
            case "rows" -> rows(connection, of, question.subList(2, question.size()));
            case "metadata" -> metadata(connection, of);
            case "portions" -> portions(connection, of, Integer.parseInt(question.get(2)));
            case "cancel" -> cancel(connection, of);
            case "update" -> update(connection, of);
            default -> throw new IllegalArgumentException(what);
        }
    }

    static void rows(Connection connection, String sql, List<String> values) throws SQLException {
        if (values.isEmpty()) {
            try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
                print(rows);
            }
            return;
        }
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int nth = 0; nth < values.size(); nth++) {
                String[] value = values.get(nth).split(":", 2);
                switch (value[0]) {
                    case "decimal" -> statement.setBigDecimal(nth + 1, new BigDecimal(value[1]));
                    case "long" -> statement.setLong(nth + 1, Long.parseLong(value[1]));
                    case "double" -> statement.setDouble(nth + 1, Double.parseDouble(value[1]));
                    case "text" -> statement.setString(nth + 1, value[1]);
                    case "time" -> statement.setTimestamp(nth + 1, Timestamp.from(Instant.parse(value[1])));
                    case "null" -> statement.setNull(nth + 1, Types.VARCHAR);
                    default -> throw new IllegalArgumentException(value[0]);
                }
            }
            // More than once: a driver prepares on the server after a few times.
            for (int times = 0; times < 7; times++) {
                try (ResultSet rows = statement.executeQuery()) {
                    if (times == 6) {
                        print(rows);
                    } else {
                        while (rows.next()) {
                            rows.getObject(1);
                        }
                    }
                }
            }
        }
    }

    static void portions(Connection connection, String sql, int rows) throws SQLException {
        // A driver takes a part of the rows within a transaction only.
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            statement.setFetchSize(rows);
            long count = 0, sum = 0;
            try (ResultSet found = statement.executeQuery(sql)) {
                for (; found.next(); count++) {
                    sum += found.getLong(1);
                }
            }
            System.out.println(count + "\t" + sum);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    interface Question {
        ResultSet ask() throws SQLException;
    }

    static void metadata(Connection connection, String table) throws SQLException {
        DatabaseMetaData all = connection.getMetaData();
        System.out.println("product\t" + all.getDatabaseProductName());
        System.out.println("readonly\t" + all.isReadOnly());
        tell("catalogs", all::getCatalogs, "TABLE_CAT");
        tell("schemas", all::getSchemas, "TABLE_SCHEM");
        tell("types", all::getTableTypes, "TABLE_TYPE");
        tell("tables", () -> all.getTables(null, "public", "%", null), "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS");
        tell("columns", () -> all.getColumns(null, "public", table, null), "COLUMN_NAME", "TYPE_NAME", "DATA_TYPE",
            "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE", "ORDINAL_POSITION", "REMARKS");
        tell("primary", () -> all.getPrimaryKeys(null, "public", table), "COLUMN_NAME");
        tell("indexes", () -> all.getIndexInfo(null, "public", table, false, true), "INDEX_NAME");
        tell("imported", () -> all.getImportedKeys(null, "public", table), "FKTABLE_NAME");
        tell("exported", () -> all.getExportedKeys(null, "public", table), "FKTABLE_NAME");
        tell("best", () -> all.getBestRowIdentifier(null, "public", table, DatabaseMetaData.bestRowSession, true), "COLUMN_NAME");
        tell("sqltypes", all::getTypeInfo, "TYPE_NAME", "DATA_TYPE");
        tell("functions", () -> all.getFunctions(null, "public", "%"), "FUNCTION_NAME");
    }

    static void tell(String what, Question question, String... columns) {
        try (ResultSet rows = question.ask()) {
            System.out.println("asked\t" + what);
            while (rows.next()) {
                StringBuilder line = new StringBuilder(what);
                for (String column : columns) {
                    line.append('\t').append(rows.getString(column));
                }
                System.out.println(line);
            }
        } catch (Exception error) {
            System.out.println("failed\t" + what + "\t" + one(error));
        }
    }

    static void cancel(Connection connection, String sql) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread other = new Thread(() -> {
                try {
                    Thread.sleep(500);
                    statement.cancel();
                } catch (Exception error) {
                    System.out.println("cancelling failed\t" + one(error));
                }
            });
            other.start();
            long begun = System.nanoTime();
            try (ResultSet rows = statement.executeQuery(sql)) {
                while (rows.next()) {
                    rows.getObject(1);
                }
                System.out.println("not cancelled");
            } catch (SQLException error) {
                System.out.println("cancelled\t" + (System.nanoTime() - begun) / 1_000_000 + "\t" + one(error));
            }
            other.join();
        }
    }

    static void update(Connection connection, String sql) {
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate(sql);
            System.out.println("done");
        } catch (Exception error) {
            System.out.println("refused\t" + one(error));
        }
    }

    static String one(Exception error) {
        return String.valueOf(error.getMessage()).replaceAll("\\s+", " ");
    }

    static void print(ResultSet rows) throws SQLException {
        int count = rows.getMetaData().getColumnCount();
        while (rows.next()) {
            StringBuilder line = new StringBuilder();
            for (int nth = 1; nth <= count; nth++) {
                line.append(nth == 1 ? "" : "\t").append(rows.getString(nth));
            }
            System.out.println(line);
        }
    }
}
