"""The words of the sample's service-public sheets.

What belongs here: invented sheets, in our own words, about real steps of daily life; amounts and delays are
plausible, **not official**. Identifiers `F90…`, `N90…` and `R90…` do not exist on the site. What does not:
how a sheet is written (`sheet_xml.py`) and the archives (`builder.py`).
"""

from dataclasses import replace

from mediatech_assets.sample_upstream.sheet_xml import (
    Service,
    Sheet,
    Theme,
    body_text,
    bullets,
    callout,
    cases,
    chapter,
    definition,
    online_service,
    paragraphs,
    question,
    reference,
    situations,
    subchapter,
    table,
)

_PAPERS = Theme(
    ("N90810", "Papiers - Citoyenneté"), ("N90811", "Identité"), ("N90100", "Passeport et identité")
)
_FAMILY = Theme(("N90820", "Famille"), ("N90821", "État civil"), ("N90822", "Naissance"))
_TRANSPORT = Theme(("N90830", "Transports"), ("N90831", "Véhicule"), ("N90832", "Carte grise"))
_SOCIAL = Theme(
    ("N90840", "Social - Santé"), ("N90841", "Aides sociales"), ("N90842", "Revenu de solidarité")
)
_WORK = Theme(("N90850", "Travail"), ("N90851", "Congés"), ("N90852", "Congés dans le secteur privé"))
_RIGHTS = Theme(("N90860", "Justice"), ("N90861", "Administration"), ("N90862", "Démarches et réclamations"))
_STAFF = Theme(
    ("N90910", "Ressources humaines"), ("N90911", "Temps de travail"), ("N90912", "Repos et congés")
)
_START = Theme(("N90920", "Création d'entreprise"), ("N90921", "Statuts"), ("N90922", "Micro-entreprise"))
_TRADE = Theme(("N90930", "Vente - Commerce"), ("N90931", "Relation client"), ("N90932", "Facturation"))
_PREMISES = Theme(
    ("N90930", "Vente - Commerce"), ("N90933", "Local professionnel"), ("N90934", "Débit de boissons")
)

PASSPORT_REQUEST = Service(
    "R90201",
    "Pré-demande de passeport en ligne",
    "Téléservice",
    "https://ants.example.fr/passeport",
    "2025-09-15",
)
STAFF_REGISTER_FORM = Service(
    "R90202",
    "Modèle de registre unique du personnel",
    "Formulaire",
    "https://entreprendre.example.fr/registre.pdf",
    "2025-03-04",
    form_number="99001*01",
)

_PASSPORT = Sheet(
    "F90001",
    "Passeport d'une personne majeure ou mineure",
    "Vous souhaitez obtenir ou renouveler un passeport : pièces à fournir, coût, délais et validité.",
    "2025-11-18",
    {"part": _PAPERS},
    kind="Fiche d'information conditionnée",
    introduction=paragraphs(
        "Vous souhaitez obtenir un premier passeport ou renouveler le vôtre ? La démarche se fait en mairie,"
        " sur rendez-vous, et la <MiseEnEvidence>présence du demandeur est obligatoire</MiseEnEvidence>. Les"
        " pièces, le coût et la durée de validité dépendent de l'âge.",
    ),
    body=body_text(
        cases(
            (
                "La personne est majeure",
                paragraphs("Vous pouvez préparer votre demande en ligne, puis la déposer en mairie.")
                + bullets(
                    "Une photo d'identité de moins de 6 mois",
                    "La carte d'identité ou l'ancien passeport",
                    "Un justificatif de domicile de moins d'un an",
                    "Un timbre fiscal de <Valeur>86 €</Valeur>",
                )
                + paragraphs("Le passeport est valable <MiseEnEvidence>10 ans</MiseEnEvidence>."),
            ),
            (
                "La personne est mineure",
                paragraphs("Un parent doit accompagner l'enfant et présenter sa propre pièce d'identité.")
                + cases(
                    ("De 0 à 14 ans", paragraphs("Le timbre fiscal coûte <Valeur>17 €</Valeur>.")),
                    ("De 15 à 17 ans", paragraphs("Le timbre fiscal coûte <Valeur>42 €</Valeur>.")),
                )
                + paragraphs("Le passeport d'un mineur est valable <MiseEnEvidence>5 ans</MiseEnEvidence>."),
            ),
        ),
        chapter(
            "Dépôt de la demande",
            paragraphs(
                "Le rendez-vous se prend en ligne, par téléphone ou au guichet. Il n'est pas nécessaire de"
                " s'adresser à la mairie de son domicile : toutes celles qui sont équipées d'une station de"
                " recueil peuvent recevoir la demande.",
                "L'agent relève les empreintes à partir de 12 ans, vérifie les pièces et remet un récépissé."
                " Ce récépissé ne permet pas de voyager.",
            ),
        ),
        chapter(
            "Délai et retrait",
            paragraphs(
                "Le délai dépend du lieu et de la saison : il s'allonge de mars à juillet. Un message est"
                " envoyé sur le téléphone portable lorsque le passeport est arrivé.",
                "Il se retire dans la mairie où la demande a été déposée, dans les 3 mois. Passé ce délai,"
                " il est détruit et la demande est à refaire.",
            ),
            callout(
                "Attention", "Attention", paragraphs("le passeport ne peut pas être envoyé par la poste.")
            ),
        ),
        chapter(
            "Perte ou vol",
            paragraphs(
                "En France, la perte se déclare à la mairie en même temps que la nouvelle demande, et le vol"
                " à la police ou à la gendarmerie. À l'étranger, adressez-vous au consulat, qui peut"
                " délivrer un passeport d'urgence valable un an.",
                "Un passeport déclaré perdu est annulé aussitôt : s'il est retrouvé, il ne permet plus de"
                " franchir une frontière et doit être rendu.",
            ),
        ),
    ),
    related=online_service(PASSPORT_REQUEST)
    + question("F90003", "Particuliers", "Comment demander un acte de naissance ?"),
)

_PAID_LEAVE = Sheet(
    "F90002",
    "Congés payés du salarié dans le secteur privé",
    "Tout salarié a droit à des jours de congés payés par l'employeur : nombre de jours, prise et indemnité.",
    "2025-10-07",
    {"part": _WORK, "pro": _STAFF},
    introduction=paragraphs(
        "Combien de jours de congés payés par an ? Tout salarié acquiert <Valeur>2,5 jours"
        " ouvrables</Valeur> par mois de travail, soit <MiseEnEvidence>30 jours ouvrables par"
        " an</MiseEnEvidence>, c'est-à-dire 5 semaines, quel que soit son contrat.",
    ),
    body=body_text(
        chapter(
            "Nombre de jours",
            subchapter(
                "Calcul",
                paragraphs(
                    'Les jours <LienIntra LienID="R90301" type="Définition de'
                    ' glossaire">ouvrables</LienIntra> vont du lundi au samedi, hors jours fériés chômés.'
                    " Certains employeurs comptent en jours ouvrés : le salarié a alors 25 jours par an.",
                    "La période d'acquisition va du 1<Exposant>er</Exposant> juin au 31 mai, sauf accord qui"
                    " retient l'année civile. Si le calcul ne donne pas un nombre entier, il est arrondi"
                    " au-dessus.",
                ),
                table(
                    "Congés acquis selon la durée du travail",
                    ("Mois travaillés", "Jours ouvrables", "Jours ouvrés"),
                    ("4 mois", "10 jours", "9 jours"),
                    ("8 mois", "20 jours", "17 jours"),
                    ("12 mois", "30 jours", "25 jours"),
                ),
            ),
            subchapter(
                "Absences qui comptent",
                paragraphs("Sont comptés comme du travail, notamment :"),
                bullets(
                    "les congés de maternité, de paternité et d'adoption",
                    "les congés payés de l'année précédente",
                    "les arrêts pour accident du travail",
                    "les arrêts maladie, à raison de 2 jours ouvrables par mois",
                ),
            ),
        ),
        chapter(
            "Prise des congés",
            paragraphs(
                "L'employeur fixe l'ordre des départs en tenant compte de la situation de famille, de"
                " l'ancienneté et de l'activité éventuelle chez un autre employeur. Il informe chaque"
                " salarié au moins un mois avant son départ.",
                "Le congé principal ne dépasse pas 24 jours ouvrables de suite. Au moins 12 jours sont pris"
                " d'affilée entre le 1<Exposant>er</Exposant> mai et le 31 octobre. La"
                " 5<Exposant>e</Exposant> semaine est prise à part.",
            ),
            callout(
                "ANoter",
                "À noter",
                paragraphs("le salarié qui tombe malade avant ses congés peut les reporter pendant 15 mois."),
            ),
        ),
        chapter(
            "Indemnité",
            paragraphs(
                "Pendant ses congés, le salarié reçoit une indemnité. L'employeur compare deux méthodes et"
                " retient la plus favorable :",
            ),
            bullets(
                "un dixième de la rémunération brute de la période d'acquisition",
                "le salaire que le salarié aurait reçu s'il avait travaillé",
            ),
            paragraphs(
                "Si le contrat prend fin avant que tous les jours soient pris, le solde est payé sous la"
                " forme d'une indemnité compensatrice, quel que soit l'auteur de la rupture.",
            ),
        ),
    ),
    related=reference(
        "R90401",
        "Code du travail : articles L3141-1 à L3141-28",
        "https://www.legifrance.gouv.fr/codes/id/LEGITEXT000006072050",
    )
    + definition(
        "R90301", "Jour ouvrable", "Jour de la semaine, sauf le jour de repos et les jours fériés chômés."
    ),
)

_BIRTH_RECORD = Sheet(
    "F90003",
    "Comment demander un acte de naissance ?",
    "La demande est gratuite et se fait à la mairie du lieu de naissance.",
    "2025-06-02",
    {"part": _FAMILY},
    kind="Fiche Question-réponse",
    body=body_text(
        paragraphs(
            "La demande d'acte de naissance est <MiseEnEvidence>gratuite</MiseEnEvidence>. Elle s'adresse à"
            " la mairie du lieu de naissance, en ligne, par courrier ou au guichet.",
            "La copie intégrale et l'extrait avec filiation sont réservés à la personne, à son époux ou"
            " partenaire, à ses parents et à ses enfants. L'extrait sans filiation est donné à toute"
            " personne.",
            "La personne née à l'étranger et de nationalité française s'adresse au service central d'état"
            " civil, à Nantes.",
        ),
    ),
)
_BIRTH_RECORD_REVISED = replace(
    _BIRTH_RECORD,
    modified="2026-01-07",
    body=_BIRTH_RECORD.body.replace(
        "</Texte>",
        paragraphs(
            "Depuis janvier 2026, la réponse en ligne arrive sous 5 jours ouvrés dans les communes reliées."
        )
        + "</Texte>",
    ),
)

_VEHICLE = Sheet(
    "F90004",
    "Carte grise : acheter un véhicule d'occasion",
    "Vous devez faire la carte grise à votre nom dans le mois qui suit l'achat.",
    "2025-08-21",
    {"part": _TRANSPORT},
    introduction=paragraphs(
        "Vous venez d'acheter une voiture d'occasion ? Vous avez <MiseEnEvidence>un mois</MiseEnEvidence>"
        " pour faire établir la carte grise (certificat d'immatriculation) à votre nom. La démarche se fait"
        " en ligne."
    ),
    body=body_text(
        chapter(
            "Documents à préparer",
            paragraphs(
                "Le vendeur vous remet l'ancienne carte grise, barrée, datée et signée. Il vous faut aussi :"
            ),
            bullets(
                "le code de cession donné par le vendeur",
                "un justificatif de domicile de moins de 6 mois",
                "le procès-verbal du contrôle technique, si le véhicule a plus de 4 ans",
                "une attestation d'assurance et votre permis de conduire",
            ),
        ),
        chapter(
            "Coût",
            paragraphs(
                "Le prix dépend de la puissance fiscale et de la région. S'y ajoutent une taxe de gestion de"
                " <Valeur>11 €</Valeur> et l'envoi, <Valeur>2,76 €</Valeur>. Les véhicules électriques"
                " peuvent être exonérés de la taxe régionale.",
            ),
        ),
        chapter(
            "En attendant la carte",
            paragraphs(
                "Un certificat provisoire permet de circuler en France pendant 1 mois. La carte définitive"
                " arrive par la poste, en lettre suivie.",
                "Circuler sans carte à son nom au-delà d'un mois expose à une amende de <Valeur>135"
                " €</Valeur>.",
            ),
        ),
        chapter(
            "Vérifier le véhicule avant l'achat",
            paragraphs(
                "Avant de payer, demandez au vendeur le certificat de situation administrative, qui date de"
                " moins de 15 jours. Il indique si le véhicule est gagé, volé ou frappé d'une opposition :"
                " dans ces cas, la carte grise ne pourra pas être établie.",
                "L'historique du véhicule est consultable gratuitement en ligne. Il montre le nombre de"
                " propriétaires, les sinistres importants et les kilométrages relevés aux contrôles"
                " techniques.",
            ),
        ),
        chapter(
            "Achat à plusieurs ou par un mineur",
            paragraphs(
                "Lorsque deux personnes achètent ensemble, leurs deux noms peuvent figurer sur la carte ; la"
                " signature de chacune sera nécessaire pour revendre. Un mineur peut être titulaire de la"
                " carte avec l'accord écrit de l'un de ses parents, dont la pièce d'identité est jointe.",
            ),
        ),
        chapter(
            "Changer d'adresse ensuite",
            paragraphs(
                "Le titulaire qui déménage le signale en ligne dans le mois. Pour les véhicules numérotés"
                " depuis 2009, une étiquette est envoyée gratuitement et se colle sur la carte ; au"
                " quatrième changement, une nouvelle carte est établie et seul son envoi est payé.",
            ),
        ),
    ),
)

_SOLIDARITY_INCOME = Sheet(
    "F90005",
    "Revenu de solidarité active (RSA)",
    "Le RSA assure un revenu minimal aux personnes sans ressources : conditions, montant, demande.",
    "2025-12-01",
    {"part": _SOCIAL},
    introduction=paragraphs(
        "Le revenu de solidarité active (RSA) assure aux personnes sans ressources un niveau minimal de"
        " revenu, qui varie selon la composition du foyer."
    ),
    body=situations(
        (
            "Vous avez 25 ans ou plus",
            chapter(
                "Conditions",
                bullets(
                    "habiter en France de façon stable, plus de 9 mois par an",
                    "ne pas dépasser un plafond de ressources, calculé sur les 3 derniers mois",
                    "avoir demandé les autres prestations auxquelles vous avez droit",
                ),
            )
            + chapter(
                "Montant",
                paragraphs("Le montant est forfaitaire ; les autres ressources du foyer en sont déduites."),
                table(
                    "Montant maximal par mois",
                    ("Enfants à charge", "Personne seule", "Couple"),
                    ("Aucun", "646 €", "969 €"),
                    ("1", "969 €", "1 163 €"),
                    ("2", "1 163 €", "1 357 €"),
                ),
            ),
        ),
        (
            "Vous avez moins de 25 ans",
            paragraphs(
                "Vous pouvez recevoir le RSA si vous attendez un enfant, si vous en élevez un, ou si vous"
                " avez travaillé au moins 2 ans au cours des 3 dernières années.",
            ),
        ),
    )
    + body_text(
        chapter(
            "Demande et suivi",
            paragraphs(
                "La demande se fait en ligne, auprès de la Caf ou de la MSA, ou au centre communal d'action"
                " sociale. Le droit commence au premier jour du mois de la demande.",
                "Vous déclarez vos ressources <MiseEnEvidence>tous les 3 mois</MiseEnEvidence>. Vous signez"
                " un contrat d'engagement avec l'organisme qui vous accompagne et qui prévoit au moins 15"
                " heures d'activité par semaine, adaptées à votre situation.",
                "En cas de désaccord, vous adressez un recours au président du conseil départemental dans"
                " les 2 mois, avant de saisir le tribunal administratif.",
            ),
        ),
        chapter(
            "Reprise d'un emploi et trop-perçu",
            paragraphs(
                "Si vous reprenez un travail, le montant ne change qu'à la déclaration trimestrielle"
                " suivante. Il diminue à mesure que vos revenus augmentent, et la prime d'activité peut"
                " prendre le relais.",
                "Une somme versée à tort est récupérée sur les versements à venir. Vous pouvez demander une"
                " remise de la dette si vous êtes de bonne foi et que vos moyens ne vous permettent pas de"
                " la payer.",
            ),
        ),
        chapter(
            "Droits liés",
            paragraphs(
                "Le bénéficiaire peut avoir la complémentaire santé solidaire sans participation, des tarifs"
                " réduits dans les transports de certaines régions et une réduction de facture téléphonique.",
            ),
        ),
    ),
    related=question("F90007", "Particuliers", "Que signifie le silence de l'administration ?"),
)

_HOLIDAYS = Sheet(
    "F90006",
    "Jours fériés et ponts dans l'entreprise",
    "Liste des jours fériés, repos et paye du salarié, récupération des ponts.",
    "2025-05-12",
    {"part": _WORK, "pro": _STAFF},
    body=body_text(
        paragraphs(
            "La France compte 11 jours fériés légaux. Seul le 1<Exposant>er</Exposant> mai est"
            " obligatoirement chômé pour tous les salariés, sauf dans les activités qui ne peuvent être"
            " interrompues.",
            "Un accord d'entreprise, ou à défaut l'employeur, décide quels autres jours fériés sont chômés."
            " Le salarié qui a 3 mois d'ancienneté ne perd pas de salaire.",
            "Le pont est une décision de l'employeur. Les heures perdues peuvent être récupérées dans les 12"
            " mois, dans la limite d'une heure par jour et de 8 heures par semaine.",
        ),
        callout(
            "ASavoir",
            "À savoir",
            paragraphs("le Vendredi saint et le 26 décembre sont fériés en Alsace-Moselle."),
        ),
    ),
)

_SILENCE = Sheet(
    "F90007",
    "Que signifie le silence de l'administration ?",
    "Après 2 mois, le silence vaut en principe acceptation.",
    "2025-02-11",
    {"part": _RIGHTS},
    kind="Fiche Question-réponse",
    body=body_text(
        paragraphs(
            "En principe, si l'administration ne répond pas à votre demande pendant"
            " <MiseEnEvidence>2 mois</MiseEnEvidence>, son silence vaut acceptation. Vous pouvez demander une"
            " attestation qui le constate.",
            "Il existe des exceptions : les réclamations, les demandes d'argent ou les relations d'un agent"
            " avec son employeur public. Le silence vaut alors refus, et vous avez 2 mois pour saisir le"
            " tribunal.",
        ),
    ),
    related=reference(
        "R90402",
        "Code des relations entre le public et l'administration : articles L231-1 et L231-4",
        "https://www.legifrance.gouv.fr/codes/id/LEGITEXT000031366350",
    ),
)

_IDENTITY_FOLDER = Sheet(
    "N90100",
    "Passeport et identité",
    "Passeport et identité : obtenir un passeport, prouver son état civil",
    "2025-04-03",
    {"part": _PAPERS},
    kind="Dossier",
    body='<SousDossier ID="N90100-1"><Titre>Obtenir ou renouveler</Titre>'
    '<Fiche ID="F90001">Passeport d\'une personne majeure ou mineure</Fiche>'
    '<Fiche ID="F90003">Comment demander un acte de naissance ?</Fiche></SousDossier>',
)

_MICRO_ENTERPRISE = Sheet(
    "F90010",
    "Micro-entreprise : créer et déclarer son activité",
    "Le régime simplifié de la micro-entreprise : plafonds de chiffre d'affaires, cotisations, déclarations.",
    "2025-07-30",
    {"pro": _START},
    has_address=False,
    introduction=paragraphs(
        "La micro-entreprise est une entreprise individuelle soumise à un régime simplifié : l'entrepreneur"
        " paie ses cotisations en proportion de ce qu'il encaisse. Sans recette, il n'y a pas de cotisation."
    ),
    body=body_text(
        chapter(
            "Plafonds de chiffre d'affaires",
            table(
                "Plafond annuel selon l'activité",
                ("Activité", "Plafond", "Cotisations"),
                ("Vente de marchandises", "188 700 €", "12,3 %"),
                ("Prestation de services", "77 700 €", "21,2 %"),
                ("Profession libérale", "77 700 €", "24,6 %"),
            ),
            paragraphs(
                "Lorsque le plafond est dépassé 2 années de suite, l'entrepreneur passe au régime réel au"
                " 1<Exposant>er</Exposant> janvier suivant. L'année de création, le plafond est calculé au"
                " prorata du nombre de jours d'activité.",
            ),
        ),
        chapter(
            "Déclarer le début d'activité",
            paragraphs(
                "La déclaration se fait sur le guichet unique des formalités, en ligne et gratuitement."
                " L'entrepreneur reçoit un numéro Siren sous une à deux semaines.",
                "Les commerçants et les artisans s'inscrivent au registre national des entreprises. Un"
                " artisan justifie d'un diplôme ou de 3 ans d'expérience pour les métiers réglementés.",
            ),
        ),
        chapter(
            "Déclarer ses recettes",
            paragraphs(
                "Le chiffre d'affaires est déclaré tous les mois ou tous les trimestres, même lorsqu'il est"
                " nul. Le paiement suit la déclaration.",
                "L'entrepreneur tient un livre des recettes dans l'ordre des dates, avec l'identité du"
                " client, le montant et le moyen de paiement. Il garde les pièces pendant 10 ans.",
                "Un compte bancaire réservé à l'activité est obligatoire si les recettes dépassent"
                " <Valeur>10 000 €</Valeur> pendant 2 années de suite.",
            ),
        ),
        chapter(
            "Impôts et TVA",
            paragraphs(
                "L'entrepreneur peut choisir le versement libératoire : il paie alors l'impôt sur le revenu"
                " avec ses cotisations, selon un pourcentage fixe de ses recettes. Sinon, ses recettes sont"
                " imposées après un abattement pour frais.",
                "Tant qu'il reste sous le seuil de la franchise, il ne facture pas la TVA et ne la récupère"
                " pas. Ses factures portent alors la mention « TVA non applicable ».",
            ),
        ),
        chapter(
            "Sortir du régime",
            paragraphs(
                "L'entrepreneur peut renoncer au régime simplifié avant le 30 septembre, avec effet l'année"
                " suivante, ou cesser son activité à tout moment sur le guichet unique.",
            ),
        ),
        chapter(
            "Protection sociale",
            paragraphs(
                "Les cotisations ouvrent des droits à la retraite, à l'assurance maladie et, sous condition"
                " de revenu, aux indemnités journalières. La personne qui crée son entreprise en étant au"
                " chômage peut demander à payer la moitié des cotisations pendant la première année.",
            ),
        ),
    ),
)

_STAFF_REGISTER = Sheet(
    "F90011",
    "Registre unique du personnel",
    "L'employeur tient un registre des salariés dès la première embauche.",
    "2025-03-04",
    {"pro": _STAFF},
    introduction=paragraphs(
        "Le registre unique du personnel est tenu dès la première embauche, sur tout support."
    ),
    body=body_text(
        chapter(
            "Ce qu'il contient",
            bullets(
                "le nom, la nationalité, la date de naissance et le sexe du salarié",
                "son emploi, sa qualification, ses dates d'entrée et de sortie",
                "le type de contrat : durée déterminée, apprentissage, temps partiel",
            ),
        ),
        chapter(
            "Conservation et sanction",
            paragraphs(
                "Les mentions sont gardées 5 ans après le départ du salarié. L'absence de registre est punie"
                " d'une amende de <Valeur>750 €</Valeur> par salarié concerné.",
            ),
        ),
    ),
    related=online_service(STAFF_REGISTER_FORM),
)

_INVOICES = Sheet(
    "F90012",
    "Quelles mentions faire figurer sur une facture ?",
    "Toute vente entre professionnels donne lieu à une facture qui comporte des mentions obligatoires.",
    "2025-09-01",
    {"pro": _TRADE},
    kind="Fiche Question-réponse",
    body=body_text(
        paragraphs("Une facture entre professionnels porte obligatoirement :"),
        bullets(
            "la date et un numéro unique, dans une suite sans rupture",
            "le nom, l'adresse et le numéro Siren du vendeur et de l'acheteur",
            "la quantité, le prix unitaire hors taxes et les rabais",
            "le taux et le montant de la TVA, ou la mention qu'elle n'est pas applicable",
            "la date du paiement et le taux des pénalités de retard",
        ),
        paragraphs(
            "L'oubli d'une mention expose à une amende de <Valeur>15 €</Valeur> par facture et par mention."
        ),
    ),
)

_DRINKS_LICENCE = Sheet(
    "F90013",
    "Licence de débit de boissons temporaire",
    "Une association peut demander à la mairie d'ouvrir une buvette pour une fête.",
    "2024-10-10",
    {"pro": _PREMISES},
    introduction=paragraphs(
        "L'ouverture d'une buvette pendant une fête est soumise à l'autorisation du maire."
    ),
    body=body_text(
        paragraphs(
            "La demande est déposée au moins 15 jours avant la fête. Seules les boissons des groupes 1 et 3"
            " peuvent être servies, et une association a droit à 5 autorisations par an.",
        ),
    ),
)

_SHEETS = (
    _PASSPORT,
    _PAID_LEAVE,
    _BIRTH_RECORD,
    _VEHICLE,
    _SOLIDARITY_INCOME,
    _HOLIDAYS,
    _SILENCE,
    _IDENTITY_FOLDER,
    _MICRO_ENTERPRISE,
    _STAFF_REGISTER,
    _INVOICES,
    _DRINKS_LICENCE,
)

#: Complementary services by feed.
SERVICES: dict[str, tuple[Service, ...]] = {"part": (PASSPORT_REQUEST,), "pro": (STAFF_REGISTER_FORM,)}


def sheets_of(feed: str, day: int) -> list[Sheet]:
    """The sheets that `feed` publishes on `day`: from day 2, one is revised and one withdrawn."""
    published = [sheet for sheet in _SHEETS if feed in sheet.themes]
    if day < 2:
        return published
    return [
        _BIRTH_RECORD_REVISED if sheet is _BIRTH_RECORD else sheet
        for sheet in published
        if sheet is not _DRINKS_LICENCE
    ]
