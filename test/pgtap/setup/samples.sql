-- Prompts with the greedy answers that another program gives to the same model
-- file: those of models/samples.md that are the same with Q8_0.

CREATE TEMPORARY TABLE completions (id int, prompt text, answer text);

INSERT INTO completions VALUES
	(2, 'Summarize: My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon',
		'Ana Lopez says that the kettle leaks water and asks for a replacement.'),
	(3, E'Review: The blender stopped working after a week. I am very disappointed.\nSentiment:',
		'Negative'),
	(4, E'Review: The soup was cold.\nSentiment: negative\n\nReview: What a lovely place!\nSentiment: positive\n\nReview: I love this lamp. It is easy to use and the light is bright.\nSentiment:',
		'positive'),
	(5, E'Ticket: Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg\nCategory:',
		'billing');

-- a dialog as system message, then user, answer, user, ...
CREATE TEMPORARY TABLE dialogs (id int, system text, turns text[], answer text);

INSERT INTO dialogs VALUES
	(6, NULL, ARRAY[
			E'Summarize the following ticket in one sentence.\n\nMy kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'],
		'Ana Lopez says that the kettle leaks water and asks for a replacement.'),
	(7, NULL, ARRAY[
			'Summarize: Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'],
		'Tom Berg was charged twice for the office chair and asks for a refund.'),
	(8, NULL, ARRAY[
			E'TL;DR\nOn May 12 at 14:20 the payment gateway went down. The cause was an expired certificate. Customers could not pay. It was down for 45 minutes. The team renewed the certificate.'],
		'The payment gateway was down for 45 minutes on May 12 because of an expired certificate, and the team renewed the certificate.'),
	(9, NULL, ARRAY[
			E'Summarize the meeting notes.\n\nThe design team met on Monday. Present: Eva, Paul and Kira. We decided to change the logo. Paul will prepare the slides by Friday.'],
		'The design team decided to change the logo, and Paul will prepare the slides by Friday.'),
	(10, NULL, ARRAY[
			'Is this review positive, negative or neutral? I love this lamp. It is easy to use and the light is bright.'],
		'positive'),
	(11, NULL, ARRAY[
			E'What is the sentiment of this review?\nThe hotel is okay. The staff was friendly, but the room was dirty.'],
		'neutral'),
	(12, NULL, ARRAY[
			E'Classify this ticket as billing, shipping, technical, account or other.\n\nHello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'],
		'billing'),
	(13, NULL, ARRAY[
			E'Which category fits: login, payment, delivery?\nI forgot the password and cannot log in to the account. There is no hurry. - Nina Weber'],
		'login'),
	(14, NULL, ARRAY[
			E'What is the priority of this ticket: low, normal, high?\n\nHello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'],
		'high'),
	(15, NULL, ARRAY[
			E'Does the customer ask for a replacement?\n\nMy kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'],
		'Yes.'),
	(16, NULL, ARRAY[
			E'Extract customer, product and order_id as JSON.\n\nMy kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'],
		'{"customer": "Ana Lopez", "product": "kettle", "order_id": "A-3391"}'),
	(17, NULL, ARRAY[
			E'Return city, quantity and total as JSON.\n{"id": 17, "customer": "Marco Rossi", "city": "Milan", "item": "desk lamp", "quantity": 3, "total": "$120", "status": "shipped"}'],
		'{"city": "Milan", "quantity": 3, "total": "$120"}'),
	(18, NULL, ARRAY[
			E'Where does Clara live?\n\nClara Jensen is a baker from Oslo. She was born in 1984. She likes sailing. She has three cats.'],
		'Oslo'),
	(19, NULL, ARRAY[
			E'Where does Clara live?\n\nClara Jensen is a baker from Oslo. She was born in 1984. She likes sailing. She has three cats.',
			'Oslo',
			'How many cats does Clara have?',
			'three',
			'Who is Clara?'],
		'A baker from Oslo'),
	(20, NULL, ARRAY[
			E'Who founded the company?\nBrimko Labs is a small firm from Geneva. Hannah Doyle founded it in 1999. It makes telescopes. 42 people work there.'],
		'Hannah Doyle'),
	(21, NULL, ARRAY[
			E'How long did it last?\nOn May 12 at 14:20 the payment gateway went down. The cause was an expired certificate. Customers could not pay. It was down for 45 minutes. The team renewed the certificate.'],
		'45 minutes'),
	(22, NULL, ARRAY[
			E'Who will prepare the slides?\nThe design team met on Monday. Present: Eva, Paul and Kira. We decided to change the logo. Paul will prepare the slides by Friday.'],
		'Paul'),
	(23, NULL, ARRAY[
			E'Write a polite reply to this ticket.\n\nMy kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'],
		'Dear Ana, we are sorry that your kettle leaks water. We will send you a replacement soon.'),
	(24, NULL, ARRAY[
			'Is this spam? You have won $5000! Click www.blarvo.biz to claim your prize.'],
		'Yes.'),
	(25, NULL, ARRAY[
			E'Write a product description.\nname: Zentro kettle; color: red; material: steel; price: $49.90; stock: 12'],
		'The Zentro kettle is red, is made of steel and costs $49.90.'),
	(26, NULL, ARRAY[
			'Who are you?'],
		'I am a small Llama 2 model that runs inside PostgreSQL.'),
	(27, NULL, ARRAY[
			'Who are you?',
			'I am a small Llama 2 model that runs inside PostgreSQL.',
			'What can you do?'],
		'I can summarize records, classify text, answer questions about a text, extract fields as JSON and tell short stories.'),
	(28, NULL, ARRAY[
			'Who are you?',
			'I am a small Llama 2 model that runs inside PostgreSQL.',
			'What can you do?',
			'I can summarize records, classify text, answer questions about a text, extract fields as JSON and tell short stories.',
			'Thank you'],
		'You are welcome.'),
	(29, NULL, ARRAY[
			'What is PostgreSQL?'],
		'PostgreSQL is a database that stores data in tables.'),
	(30, NULL, ARRAY[
			'What is the capital of France?'],
		'I do not know.'),
	(31, NULL, ARRAY[
			'Tell me a story about a llama.'],
		'Once upon a time, there was a lazy llama named Fred. Fred lived in a tree house. One morning he found a golden hat. One day he saw a sheep named Irene. Irene was stuck in a hole. "Please help me," said Irene. Fred pulled with all his strength. "Thank you," said Irene. "You are very kind." They lived happily ever after.'),
	(32, 'Always answer in capital letters.', ARRAY[
			'Hello'],
		'HELLO! HOW CAN I HELP YOU?'),
	(33, 'Always answer in capital letters.', ARRAY[
			'Hello',
			'HELLO! HOW CAN I HELP YOU?',
			'What is a table?'],
		'A TABLE HOLDS ROWS AND COLUMNS OF DATA.'),
	(34, 'You are a pirate.', ARRAY[
			'Who are you?'],
		'Arr, I am a small Llama 2 model that runs inside PostgreSQL, matey!'),
	(35, 'You are a pirate.', ARRAY[
			'Who are you?',
			'Arr, I am a small Llama 2 model that runs inside PostgreSQL, matey!',
			'What is 2 plus 5?',
			'Arr, 7, matey!',
			'What is a database?'],
		'Arr, a database stores data so that you can find it again, matey!'),
	(36, 'End every answer with ''Thank you.''', ARRAY[
			'How are you?'],
		'I am fine, thank you. How can I help you? Thank you.'),
	(37, 'Answer with one word.', ARRAY[
			'Does the customer ask for a refund? Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg'],
		'Yes'),
	(38, 'Answer with one word.', ARRAY[
			'Does the customer ask for a refund? Hello, I was charged twice for the office chair. I want my money back! You can reach me at tom.berg@mail.com. This is urgent. Thanks, Tom Berg',
			'Yes',
			'What is the priority: low, normal or high?'],
		'high'),
	(39, 'You are Zorbo, an assistant of Frindel.', ARRAY[
			'What is your name?'],
		'My name is Zorbo.'),
	(40, 'You are Zorbo, an assistant of Frindel.', ARRAY[
			'What is your name?',
			'My name is Zorbo.',
			'Where do you work?'],
		'I work for Frindel.'),
	(41, 'Summarize every message in one sentence.', ARRAY[
			'My kettle leaks water. I bought it on March 3. My order number is A-3391. Please send me a replacement. Regards, Ana Lopez, Lisbon'],
		'Ana Lopez says that the kettle leaks water and asks for a replacement.'),
	(42, 'Classify the sentiment of every message as positive, negative or neutral.', ARRAY[
			'I love this lamp. It is easy to use and the light is bright.'],
		'positive'),
	(43, 'Classify the sentiment of every message as positive, negative or neutral.', ARRAY[
			'I love this lamp. It is easy to use and the light is bright.',
			'positive',
			'The blender stopped working after a week. I am very disappointed.',
			'negative',
			'The delivery was slow and the box was damaged.'],
		'negative');

ALTER TABLE dialogs ADD COLUMN messages jsonb;

UPDATE dialogs SET messages =
	CASE WHEN system IS NULL THEN '[]' ELSE jsonb_build_array(jsonb_build_object('role', 'system', 'content', system)) END ||
	(SELECT jsonb_agg(jsonb_build_object('role', CASE n % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, 'content', content) ORDER BY n)
	 FROM unnest(turns) WITH ORDINALITY AS t(content, n));
