//! Names to draw from. Written in several scripts, because folding, sorting and searching differ by script.

pub const FIRST: &str = "
Ada Adam Adriana Agnieszka Ahmed Aisha Alba Albert Alejandro Alessandro Alexander Alice Amara Amélie Ana Anders András
Andrea Anna Anton Antonio Arjun Astrid Aurélie Ayşe Barbara Beatriz Benjamin Bianca Björn Blaž Bogdan Camille Carlos
Carmen Caroline Catarina Cecilia Charlotte Chiara Chloé Christian Claire Clara Cristina Damian Daniel Daniela David
Deepak Diego Dimitri Dorota Éloïse Edward Elena Elif Elisa Elżbieta Emil Emily Emma Enzo Erik Esra Eva Fabian Fatima
Felix Fernando Filip Florence Francesca François Frank Freya Gabriel Giorgos Giulia Grace Greta Gustav Güneş Hana
Hannah Hans Harald Hasan Heidi Helena Henrik Hiroshi Hugo Ibrahim Ida Ignacio Igor Ilse Inês Ingrid Irina Isaac Isabel
Ivan Jack Jakob James Jan Jasmine Javier Jean Jelena Joana Johan John José Julia Julian Jürgen Kaito Karel Karolina
Katarzyna Kenji Kerstin Khalid Klara Kofi Lars Laura Leila Lena Léa Liam Lina Linnéa Lucas Lucía Luigi Lukáš Maja
Manuel Marek Margaux Maria Mariam Martin Mateo Matteo Maximilian Mehmet Mei Mia Michał Miguel Mikael Milan Mohammed
Monika Nadia Natalia Nils Nina Noah Noémie Nora Olaf Olga Oliver Olivia Omar Oscar Otto Pablo Paula Pedro Petra Pierre
Priya Rafael Rania Ravi Renée René Ricardo Robert Rosa Ruth Sara Sébastien Sergio Sofia Søren Stefan Sven Sylvia Tamar
Teresa Theodor Thomas Tomás Ulrike Valentina Vera Viktor Walter Wanda William Yara Yuki Yusuf Zdeněk Zoë Zuzana
Αλέξανδρος Ελένη Γιώργος Ольга Иван Дмитрий Наталья";

pub const LAST: &str = "
Abbott Achterberg Aguilar Ahlström Akbar Almeida Álvarez Andersen Andersson Antonescu Araújo Arnold Ashworth Åström
Bailey Bakker Balogh Barbosa Barnes Bauer Baumann Becker Bell Bellini Bennett Berg Bergström Bernard Bianchi Blanc Böhm
Borges Bosch Boyer Brandt Braun Brown Bruno Brückner Burke Campbell Cardoso Carlsson Carter Castillo Castro Černý Chen
Clarke Clément Collins Conti Cooper Costa Cruz Cunha Dahl Dąbrowski Davies Delgado Demir Díaz Dietrich Dimitrov Dubois
Dumont Durand Eder Edwards Ekström Engel Eriksen Escobar Esposito Estévez Evans Faure Fernández Ferrari Fiala Fischer
Fleming Fletcher Fontaine Forsberg Fournier Frank Franke Freitas Friedrich Fuchs Gallo García Garnier Gauthier Georgiou
Gibson Giménez Girard Gómez González Graf Graham Grant Greco Green Grünwald Guerrero Gunnarsson Gustafsson Haas Haddad
Hahn Hansen Harris Hartmann Hassan Haugen Hayashi Heikkinen Heinrich Henry Hernández Herrmann Hofer Hoffmann Holm
Horváth Huber Hughes Iglesias Ilić Ito Ivanov Jackson Jäger Jansen Jansson Jensen Jiménez Johansen Johansson Jones
Jovanović Jung Kaiser Kamiński Kaplan Karlsson Kaya Keller Kelly Khan King Kivelä Klein Klíma Koch Köhler Kovács
Kowalczyk Kowalski König Kraus Krüger Kumar Lambert Lang Larsen Larsson Laurent Lefèvre Leroy Lewis Lima Lindberg
Lindström Lombardi López Lorenz Lund Lundgren Łukasik Macdonald Maier Mancini Marchetti Marin Mariani Markovic Martin
Martínez Mason Mayer McCarthy Medina Mehta Mendoza Mensah Meyer Michel Mikkelsen Miller Molina Moore Morales Moreau
Moreno Moretti Morris Müller Muñoz Murphy Nagy Nakamura Navarro Németh Neumann Nguyen Nielsen Nilsson Novák Nowak
Núñez Nyström O'Brien O'Connor O'Neill Oliveira Okafor Olsen Olsson Ortega Ortiz Özdemir Öztürk Palmer Papadopoulos
Parker Patel Pavlov Pereira Pérez Perrin Petersen Petrov Peña Pinto Popescu Portillo Pospíšil Quinn Ramírez Ramos
Reid Reyes Ribeiro Ricci Richter Rivera Robinson Rodríguez Rossi Roth Rousseau Ruiz Russo Şahin Sánchez Santos
Sato Schäfer Schmidt Schneider Scholz Schröder Schulz Schwarz Serrano Silva Simon Singh Smith Sokolov Sørensen Sousa
Stein Stewart Suárez Svoboda Szabó Takahashi Tanaka Taylor Thomas Thompson Tóth Turner Ünal Vargas Varga Vasquez
Vidal Virtanen Vogel Wagner Walker Walsh Wang Weber Weiß White Wieczorek Williams Winkler Wolf Wright Wójcik Yamamoto
Yıldız Yılmaz Young Zhang Zieliński Ziegler Zimmermann Παπαδόπουλος Νικολαΐδης Петров Соколова";

/// Family names that are written first, and with nothing between the two.
pub const CJK_FAMILY: &str = "王 李 张 刘 陈 杨 佐藤 鈴木 高橋 田中 김 이";
pub const CJK_GIVEN: &str = "伟 芳 娜 秀英 敏 静 强 磊 洋 艳 太郎 花子 健 美咲 민준 서연";

pub const DOMAINS: &str = "
example.com example.net example.org mail.example.com post.example.net inbox.example.org web.example.com home.example.net
office.example.org school.example.com";
