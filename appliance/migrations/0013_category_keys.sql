-- Categories have the names that policies and detectors use for them; what was kept under an older name moves along.

UPDATE captures SET category = CASE category
    WHEN 'eating_disorders' THEN 'eating_disorder' WHEN 'adult_content' THEN 'adult'
    WHEN 'counter_radicalisation' THEN 'radicalisation' WHEN 'weapons_violence' THEN 'weapons'
    WHEN 'race_religious_hatred' THEN 'hate_race_religion' WHEN 'lgbt_derogatory' THEN 'hate_lgbt'
    WHEN 'illegal_content' THEN 'illegal' ELSE category END;
UPDATE alerts SET category = CASE category
    WHEN 'eating_disorders' THEN 'eating_disorder' WHEN 'adult_content' THEN 'adult'
    WHEN 'counter_radicalisation' THEN 'radicalisation' WHEN 'weapons_violence' THEN 'weapons'
    WHEN 'race_religious_hatred' THEN 'hate_race_religion' WHEN 'lgbt_derogatory' THEN 'hate_lgbt'
    WHEN 'illegal_content' THEN 'illegal' ELSE category END;
